"""``python -m provider``: the process that ``pulumi-resource-stellaops`` starts."""

import sys

PYTHON = (3, 11)
VERSION = "0.0.0"  # the engine asks; a provider that lies in the project is always the program's own version


def main() -> int:
    """Serve the provider until the engine ends; returns the exit code."""
    if sys.version_info < PYTHON:
        return _fail(f"it needs Python {PYTHON[0]}.{PYTHON[1]} or newer, and {sys.executable} is older")
    try:
        from provider.base.server import serve
        from provider.plugin import StellaOpsPlugin
    except ImportError as error:
        return _fail(f"{sys.executable} has not what it needs ({error})")
    serve(StellaOpsPlugin(), VERSION)
    return 0


def _fail(reason: str) -> int:
    todo = (
        "make up creates the virtual environment .venv; or: pip install --require-hashes -r requirements/runtime.lock"
    )
    print(f"provider stellaops cannot start: {reason}; {todo}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
