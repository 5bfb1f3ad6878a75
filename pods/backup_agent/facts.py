"""Read the facts about a database that the scripts wrote, for the manifest and for comparison after a restore.

``server.tsv``, ``tables.tsv`` and ``versions.tsv`` become part of the manifest. ``catalog.tsv`` (owners, privileges,
triggers, constraints and roles, one per line) is stored as a file of the backup.
"""

import json
from pathlib import Path
from typing import Any

from .errors import BackupError

CATALOG = "catalog.tsv"
TABLES = "tables.tsv"


def read(directory: Path) -> dict[str, Any]:
    """Read the facts in ``directory``. Raises ``BackupError`` if a file is missing or incomplete."""
    try:
        server: dict[str, str] = dict(_rows(directory / "server.tsv", 2))
        tables = [
            {"table": f"{schema}.{table}", "rows": int(rows), "checksum": checksum}
            for schema, table, rows, checksum in _rows(directory / TABLES, 4)
        ]
        versions = {schema: int(version) for schema, version in _rows(directory / "versions.tsv", 2)}
        return {
            "server": server["version"],
            "database": server["database"],
            "segment_bytes": int(server["segment_bytes"]),
            "locale": json.loads(server["locale"]),
            "schemas": versions,
            "tables": tables,
        }
    except (OSError, ValueError, KeyError) as error:
        raise BackupError(f"the facts in {directory} are incomplete: {error}; see the output of the dump") from None


def catalog(directory: Path) -> list[str]:
    """Return the lines of ``catalog.tsv``, sorted."""
    return sorted((directory / CATALOG).read_text(encoding="utf-8").splitlines())


def base_facts(directory: Path) -> dict[str, Any]:
    """Read the WAL range of a base backup from its ``backup_manifest``. Raises ``BackupError``."""
    try:
        ranges = json.loads((directory / "backup_manifest").read_text(encoding="utf-8"))["WAL-Ranges"]
        return {
            "timeline": ranges[0]["Timeline"],
            "start_lsn": ranges[0]["Start-LSN"],
            "end_lsn": ranges[-1]["End-LSN"],
        }
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise BackupError(f"{directory}/backup_manifest can't be read: {error}; take the base backup again") from None


def first_segment(manifest: dict[str, Any]) -> str:
    """Return the name of the first WAL segment that recovery from this base backup needs."""
    high, low = (int(part, 16) for part in manifest["start_lsn"].split("/"))
    return f"{int(manifest['timeline']):08X}{high:08X}{low // int(manifest['segment_bytes']):08X}"


def _rows(path: Path, columns: int) -> list[list[str]]:
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    if any(len(row) != columns for row in rows):
        raise ValueError(f"{path.name} has a line without {columns} columns")
    return rows
