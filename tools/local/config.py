"""``.state/Pulumi.local.yaml``: the committed settings of stack ``local`` plus endpoints and encrypted secrets."""

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from tools.local.paths import PROJECT, ROOT, STACK, State, read_json, write_private
from tools.local.stack import Stack

COMMITTED = ROOT / "stacks" / f"Pulumi.{STACK}.yaml"


def write(stack: Stack, settings: dict[str, str | int], secrets: dict[str, str]) -> bool:
    """Bring the file up to date; whether it had to be written. The stack must exist. Raises ``UserError``."""
    state = stack.state
    committed: dict[str, Any] = yaml.safe_load(COMMITTED.read_text(encoding="utf-8")) or {}
    plain = {
        **committed.get("config", {}),
        **{key if ":" in key else f"{PROJECT}:{key}": value for key, value in settings.items()},
    }
    salt = stack.salt()
    # The passphrase is in it, so that the hash says nothing about short secrets to whoever reads it alone.
    passphrase = state.passphrase.read_text(encoding="utf-8")
    digest = hashlib.sha256(json.dumps([plain, secrets, salt, passphrase], sort_keys=True).encode()).hexdigest()
    stamp = _stamp(state)
    if state.config.exists() and read_json(stamp).get("digest") == digest:
        return False
    # Written aside and renamed when it is whole.
    aside = state.directory / "new.yaml"
    write_private(aside, yaml.safe_dump({"config": plain, "encryptionsalt": salt}))
    for key, value in secrets.items():
        stack.set_secret(aside, key, value)
    aside.chmod(0o600)
    aside.replace(state.config)
    write_private(stamp, json.dumps({**read_json(stamp), "digest": digest}))
    return True


def applied(state: State) -> None:
    """Remember that the engine's state has these endpoints now."""
    known = read_json(_stamp(state))
    write_private(_stamp(state), json.dumps({**known, "applied": known.get("digest")}))


def is_applied(state: State) -> bool:
    """Whether the engine's state has the endpoints of the config: else only the program can tell it them."""
    known = read_json(_stamp(state))
    return known.get("applied") == known.get("digest")


def _stamp(state: State) -> Path:
    return state.directory / "config.json"
