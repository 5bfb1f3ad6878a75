"""A copy of the project with a small mapping: a few resources of every kind, so that a run takes seconds."""

from pathlib import Path
from typing import Any

import yaml

from tests.support.stack import PROJECT, copy_project

# Leaves out resources that are only rendered, and those of backups.
SETTINGS = {"kubernetesMode": "none", "backups": "none"}

MODULES = ("authority", "signer", "scanner", "symbols", "evidence_locker")
SCHEMAS = ("authority", "scanner", "symbols")
KEYS = ("dpop:{jti}", "scan:{digest}", "scanner:events", "scanner:jobs", "quota:{token}")
BUCKETS = ("blobs", "images", "evidence")

Mapping = dict[str, Any]


def project(directory: Path, settings: dict[str, str] = SETTINGS) -> Path:
    """Copy the project, with ``first()`` as its mapping. The copy uses this project's virtual environment."""
    copy_project(directory)
    committed = directory / "stacks" / "Pulumi.local.yaml"
    config = yaml.safe_load(committed.read_text())
    config["config"] |= {f"stellaops-storage:{key}": value for key, value in settings.items()}
    committed.write_text(yaml.safe_dump(config))
    write(directory, first())
    return directory


def write(directory: Path, mapping: Mapping) -> None:
    (directory / "schema-mapping.yaml").write_text(yaml.safe_dump(mapping, sort_keys=False))


def first() -> Mapping:
    """Return the first mapping: append-only tables, a privilege on columns, streams with groups, locked buckets."""
    return _part(MODULES, SCHEMAS)


def second() -> Mapping:
    """Return the second mapping: modules and a schema added and removed, passwords rotated, privileges changed."""
    mapping = _part(
        (*(name for name in MODULES if name != "symbols"), "excititor", "vexhub"), ("authority", "scanner", "vex")
    )
    modules = mapping["modules"]
    modules["scanner"]["rotate"] = 2
    modules["evidence_locker"]["rotate"] = 2
    modules["signer"]["postgres"]["reads"] = ["authority.clients(client_id, tenant_id)", "scanner.scans"]
    modules["signer"]["rustfs"] = {"reads": ["evidence/"]}
    mapping["valkey"]["streams"]["scanner:events"]["consumers"] = ["vexhub", "audit"]
    mapping["rustfs"]["buckets"]["evidence"]["object_lock"] = {"retention": "30d"}
    mapping["rustfs"]["abort_multipart_after"] = "2d"
    del mapping["rustfs"]["buckets"]["images"]
    modules["scanner"]["rustfs"]["owns"] = ["blobs/"]
    return mapping


def _part(modules: tuple[str, ...], schemas: tuple[str, ...]) -> Mapping:
    mapping: Mapping = yaml.safe_load((PROJECT / "schema-mapping.yaml").read_text())
    mapping["modules"] = {name: mapping["modules"][name] for name in modules}
    mapping["modules"]["scanner"]["valkey"]["owns"] = [key for key in KEYS if not key.startswith("dpop")]
    mapping["services"] = {"audit": mapping["services"]["audit"]}
    mapping["postgres"]["schemas"] = {name: mapping["postgres"]["schemas"][name] for name in schemas}
    valkey = mapping["valkey"]
    for part in ("keys", "estimates"):
        valkey[part] = {key: valkey[part][key] for key in KEYS}
    valkey["streams"] = {key: valkey["streams"][key] for key in ("scanner:events", "scanner:jobs")}
    valkey["streams"]["scanner:events"]["consumers"] = ["signer", "audit"]
    mapping["rustfs"]["buckets"] = {name: mapping["rustfs"]["buckets"][name] for name in BUCKETS}
    mapping["data_flows"] = []
    return mapping
