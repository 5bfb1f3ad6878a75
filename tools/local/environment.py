"""The environment of the engine and of everything that runs below it."""

import os
from pathlib import Path
from urllib.parse import quote

from tools.local.engine.tools import Engine
from tools.local.paths import STACK, VENV, State

# The user's own settings for other servers would be picked up by libpq, boto3 and the engine.
FOREIGN = ("PG", "AWS_", "PULUMI_", "VALKEYCLI_")
KEPT = ("AWS_CA_BUNDLE",)
LOOPBACK = ("127.0.0.1", "localhost")


def scrub() -> None:
    """Remove from our own environment what would lead clients elsewhere than to the local stack."""
    for name in list(os.environ):
        if name.startswith(FOREIGN) and name not in KEPT:
            del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    for name in ("NO_PROXY", "no_proxy"):
        present = [part for part in os.environ.get(name, "").split(",") if part]
        os.environ[name] = ",".join(dict.fromkeys([*present, *LOOPBACK]))


def of_engine(state: State, engine: Engine) -> dict[str, str]:
    """What ``pulumi`` runs with for the local stack."""
    return {
        **of_program(state, engine),
        "PULUMI_STACK": STACK,
        # The committed file has no endpoints and no secrets; this one has.
        "PULUMI_OPTION_CONFIG_FILE": str(state.config),
    }


def of_program(state: State, engine: Engine) -> dict[str, str]:
    """What ``pulumi`` runs with for any program: backend and home, the virtual environment first on the PATH."""
    path = [VENV / "bin", engine.pulumi.parent, Path(os.environ.get("PATH", os.defpath))]
    return {
        **os.environ,
        "PATH": os.pathsep.join(str(part) for part in path),
        "VIRTUAL_ENV": str(VENV),
        "PULUMI_HOME": str(state.pulumi_home),
        # The engine writes its whole state after each resource: collecting that garbage less often saves a seventh of a
        # first up, and takes 200 MB.
        "GOGC": os.environ.get("GOGC", "400"),
        # Without side-car files, which are not replaced in one step: killed while it writes one, the engine could not
        # read its state any more.
        "PULUMI_BACKEND_URL": f"file://{quote(str(state.backend))}?metadata=skip",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(state.passphrase),
        # Without internet each start would lose seconds over it; tools/offline_plugins/install.py asks once a day.
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
