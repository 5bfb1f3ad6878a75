"""The stack's own config file, ``.state/Pulumi.local.yaml``.

``make`` writes the endpoints and credentials of the local servers to it and overwrites the user's values for these keys.
All other keys belong to the user (``make pulumi ARGS="config set KEY VALUE"``): each follows the committed
``stacks/Pulumi.local.yaml`` until the user sets or removes it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools.local.errors import UserError
from tools.local.paths import PROJECT, ROOT, STACK, State, read_json, short, write_private
from tools.local.stack import Stack

COMMITTED = ROOT / "stacks" / f"Pulumi.{STACK}.yaml"
MAPPING_KEY = f"{PROJECT}:mapping"


@dataclass(frozen=True)
class Written:
    """The result of ``write``: whether the file changed, and the keys whose value, set by the user, was discarded."""

    changed: bool
    replaced: tuple[str, ...] = ()
    undecryptable: tuple[str, ...] = ()


def mapping(state: State) -> Path:
    """The mapping named in the stack's config, else the project's default. Raises ``UserError``."""
    config = _read(state.config if state.config.exists() else COMMITTED).get("config", {})
    default = _read(ROOT / "Pulumi.yaml")["config"]["mapping"]["default"]
    return ROOT / str(config.get(MAPPING_KEY) or default)


def write(stack: Stack, settings: Mapping[str, str | int | bool], secrets: Mapping[str, str]) -> Written:
    """Write the servers' plain ``settings`` and their ``secrets``, and keep every other value that the user set.

    The stack must exist. Raises ``UserError``.
    """
    state = stack.state
    stamp = read_json(_stamp(state))
    document = _read(state.config) if state.config.exists() else {}
    current: dict[str, Any] = document.get("config") or {}
    defaults = {**_read(COMMITTED).get("config", {}), f"{PROJECT}:kubernetesRenderDirectory": str(state.rendered)}
    server_values = {_qualified(key): value for key, value in settings.items()}
    secret_values = {_qualified(key): value for key, value in secrets.items()}
    salt = stack.salt()
    digest = _digest(state, {**defaults, **server_values}, secret_values, salt)
    written: dict[str, str] = stamp.get("written") or _texts({**defaults, **server_values})
    ciphertexts: dict[str, str] = stamp.get("ciphertexts", {})

    user_values = {
        key: value for key, value in current.items() if key not in secret_values and written.get(key) != _text(value)
    }
    undecryptable = [
        key for key, value in user_values.items() if document.get("encryptionsalt") != salt and _is_secret(value)
    ]
    removed = {key for key in written if key not in current} if state.config.exists() else set()
    plain = {
        **{key: value for key, value in defaults.items() if key not in removed},
        **{key: value for key, value in user_values.items() if key not in undecryptable},
        **server_values,
    }
    # Encrypt a secret again only if the servers or the user changed it: each encryption takes a run of the engine.
    intact = {
        key: current[key] for key in secret_values if key in current and ciphertexts.get(key) == _text(current[key])
    }
    kept = intact if stamp.get("digest") == digest else {}
    replaced = [
        *(
            key
            for key, value in user_values.items()
            if key in server_values and _text(server_values[key]) != _text(value)
        ),
        *(key for key in secret_values if key in current and key in ciphertexts and key not in intact),
    ]
    if len(kept) == len(secret_values) and _texts(current) == _texts({**plain, **kept}):
        return Written(changed=False)
    # Written under another name and renamed when complete.
    file = state.directory / "new.yaml"
    write_private(file, yaml.safe_dump({**document, "config": {**plain, **kept}, "encryptionsalt": salt}))
    for key, value in secret_values.items():
        if key not in kept:
            stack.set_secret(file, key, value)
    file.chmod(0o600)
    encrypted: dict[str, Any] = _read(file)["config"]
    record = {
        **stamp,
        "digest": digest,
        "written": _texts({**defaults, **server_values}),
        "ciphertexts": {key: _text(encrypted[key]) for key in secret_values},
    }
    file.replace(state.config)
    write_private(_stamp(state), json.dumps(record))
    return Written(True, tuple(replaced), tuple(undecryptable))


def record_applied(state: State) -> None:
    """Record that the engine's state has the endpoints of the config."""
    record = read_json(_stamp(state))
    write_private(_stamp(state), json.dumps({**record, "applied": record.get("digest")}))


def is_applied(state: State) -> bool:
    """Whether the engine's state has the endpoints of the config; otherwise a refresh must run the program to get them."""
    record = read_json(_stamp(state))
    return record.get("applied") == record.get("digest")


def _stamp(state: State) -> Path:
    return state.directory / "config.json"


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise UserError(f"{short(file)} is not valid YAML: {' '.join(str(error).split())}", "correct it") from None
    if not isinstance(content, dict) or not isinstance(content.get("config") or {}, dict):
        raise UserError(f"{short(file)} is not a stack config file", "correct it")
    return content


def _qualified(key: str) -> str:
    return key if ":" in key else f"{PROJECT}:{key}"


def _text(value: object) -> str:
    """A value as text, as ``config set`` writes it: ``true`` and ``5432`` become strings."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {key: _text(value) for key, value in values.items()}


def _is_secret(value: object) -> bool:
    return isinstance(value, dict) and "secure" in value


def _digest(state: State, plain: Mapping[str, object], secret_values: Mapping[str, str], salt: str) -> str:
    # Includes the passphrase, so that short secrets can't be guessed from the digest alone.
    passphrase = state.passphrase.read_text(encoding="utf-8")
    return hashlib.sha256(json.dumps([plain, secret_values, salt, passphrase], sort_keys=True).encode()).hexdigest()
