"""What the jobs run and may do. (To be joined with components.valkey.plan, .commands and .render.)"""

import hashlib
import json

from components.mapping import Mapping

MAINTENANCE_USER = "maintenance"


def maintenance_files(mapping: Mapping) -> dict[str, str]:
    """File name -> text of everything that ``python3 -m maintenance`` needs in a directory of that name."""
    plan = {"streams": list(mapping.valkey.streams)}
    return {"__init__.py": "", "__main__.py": "raise SystemExit('not joined')\n", "plan.json": json.dumps(plan)}


def maintenance_rules(mapping: Mapping) -> tuple[str, ...]:
    """As ``acl_rules``, for the user that makes groups, trims streams, audits keys and reloads users."""
    streams = [f"~{name}" for name in mapping.valkey.streams]
    return ("resetchannels", "+ping", "+acl|load", "+acl|users", "+role", f"({' '.join(streams)} +xgroup|create)")


def acl_mark(acl: str) -> str:
    """The user by which a server is seen to have loaded this file: off, without a right, named after the rest of it."""
    lines = [line for line in acl.splitlines() if not line.startswith("user acl-mark-")]
    return "acl-mark-" + hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
