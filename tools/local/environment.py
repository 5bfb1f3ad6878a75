"""Environment variables of the engine and of the processes that it starts."""

import os
from pathlib import Path
from urllib.parse import quote

from tools.local.engine.tools import Engine
from tools.local.paths import STACK, VENV, State

# Prefixes of the user's own settings for libpq, boto3, the engine and valkey-cli, which are for other servers.
FOREIGN = ("PG", "AWS_", "PULUMI_", "VALKEYCLI_")
KEPT = ("AWS_CA_BUNDLE",)
LOOPBACK = ("127.0.0.1", "localhost")


def scrub() -> None:
    """Remove the variables of this process that would make clients connect to other servers than the local stack's."""
    for name in list(os.environ):
        if name.startswith(FOREIGN) and name not in KEPT:
            del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    for name in ("NO_PROXY", "no_proxy"):
        present = [part for part in os.environ.get(name, "").split(",") if part]
        os.environ[name] = ",".join(dict.fromkeys([*present, *LOOPBACK]))


def of_engine(state: State, engine: Engine) -> dict[str, str]:
    """The environment of ``pulumi`` on the local stack."""
    return {
        **of_program(state, engine),
        "PULUMI_STACK": STACK,
        # This file, unlike the committed one, has the endpoints and secrets.
        "PULUMI_OPTION_CONFIG_FILE": str(state.config),
    }


def of_program(state: State, engine: Engine) -> dict[str, str]:
    """The environment of ``pulumi`` for any program: backend, home, and the virtual environment first on the PATH."""
    path = [VENV / "bin", engine.pulumi.parent, Path(os.environ.get("PATH", os.defpath))]
    return {
        **os.environ,
        "PATH": os.pathsep.join(str(part) for part in path),
        "VIRTUAL_ENV": str(VENV),
        "PULUMI_HOME": str(state.pulumi_home),
        # The engine serializes its whole state after each resource. Less frequent garbage collection makes a first up
        # 14 % faster and uses 200 MB more.
        "GOGC": os.environ.get("GOGC", "400"),
        # Without metadata files: the engine does not write them atomically, and if it is killed while writing one, it
        # can no longer read its state.
        "PULUMI_BACKEND_URL": f"file://{quote(str(state.backend))}?metadata=skip",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(state.passphrase),
        # Without internet access each of these takes seconds; tools/offline_plugins/install.py tries once a day.
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
