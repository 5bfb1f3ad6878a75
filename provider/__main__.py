"""Entry point of the provider: ``pulumi-resource-stellaops`` runs ``python -m provider``."""

import sys

PYTHON = (3, 11)
VERSION = "0.0.0"  # the engine requires one; the provider is part of the project and has no version of its own


def main() -> int:
    """Serve the provider until the engine ends, and return the exit code."""
    if sys.version_info < PYTHON:
        return _fail(f"it needs Python {PYTHON[0]}.{PYTHON[1]} or newer, but {sys.executable} is older")
    try:
        from provider.base.server import serve
        from provider.plugin import StellaOpsPlugin
    except ImportError as error:
        return _fail(f"{sys.executable} lacks a required package ({error})")
    serve(StellaOpsPlugin(), VERSION)
    return 0


def _fail(reason: str) -> int:
    remedy = "run make up, which creates .venv, or pip install --require-hashes -r requirements/runtime.lock"
    print(f"provider stellaops cannot start: {reason}; {remedy}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
