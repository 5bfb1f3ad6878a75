"""Run a stack's preview with the engine on the PATH. Nothing is written and nothing is changed."""

import json
import os
import shutil
import subprocess

from tools.review.errors import ReviewError

# With it the preview has policy violations, unchanged resources and the outputs as they will be.
STREAMING = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}
CONFIG_TIMEOUT_SECONDS = 120


def preview(stack: str) -> str:
    """What the engine printed, also when the preview failed. Raises ``ReviewError`` without an engine."""
    result = _pulumi("preview", "--json", "--stack", stack)
    if "{" in result.stdout:
        return result.stdout
    return (
        result.stderr
        if "error: " in result.stderr
        else f"error: the engine said nothing (exit code {result.returncode})"
    )


def secrets(stack: str) -> tuple[str, ...]:
    """Values of the stack's secret settings, to be kept out of everything. None when they cannot be read: then there
    is nothing in clear that could leak."""
    try:
        result = _pulumi("config", "--json", "--show-secrets", "--stack", stack, timeout=CONFIG_TIMEOUT_SECONDS)
        values = json.loads(result.stdout) if result.returncode == 0 else {}
    except (ReviewError, ValueError):
        return ()
    return tuple(
        str(item.get("value", "")) for item in values.values() if isinstance(item, dict) and item.get("secret")
    )


def _pulumi(*arguments: str, timeout: float | None = None) -> "subprocess.CompletedProcess[str]":
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        raise ReviewError("pulumi is not on the PATH; install it, or give files that `pulumi preview --json` wrote")
    try:
        return subprocess.run(
            [pulumi, "--non-interactive", "--color=never", *arguments],
            env={**os.environ, **STREAMING}, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            check=False, timeout=timeout,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ReviewError(f"pulumi {arguments[0]} did not answer within {timeout} s") from None
