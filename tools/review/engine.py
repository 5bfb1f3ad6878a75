"""Run a stack's preview with the engine on the PATH. The stack is not changed."""

from tools.pulumi_cli import PulumiCli, PulumiError
from tools.review.errors import ReviewError

# Adds policy violations, unchanged resources and the planned outputs to the preview.
STREAMING = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}
CONFIG_TIMEOUT_SECONDS = 120


def preview(stack: str) -> str:
    """Return the output of the preview, even if it failed. Raises ``ReviewError`` if there is no engine."""
    try:
        result = PulumiCli.on_path().run("preview", "--json", "--stack", stack, settings=STREAMING)
    except PulumiError as error:
        raise ReviewError(f"{error}; install it, or pass files with the output of `pulumi preview --json`") from None
    if "{" in result.stdout:
        return result.stdout
    if "error: " in result.stderr:
        return result.stderr
    return f"error: the engine printed nothing (exit code {result.exit_code})"


def secrets(stack: str) -> tuple[str, ...]:
    """Return the values of the stack's secret config, which all output must mask.

    Empty if the config cannot be decrypted: then the preview cannot print them either.
    """
    try:
        cli = PulumiCli.on_path()
        values = cli.json("config", "--json", "--show-secrets", "--stack", stack, timeout=CONFIG_TIMEOUT_SECONDS)
    except PulumiError:
        return ()
    return tuple(
        str(item.get("value", "")) for item in values.values() if isinstance(item, dict) and item.get("secret")
    )
