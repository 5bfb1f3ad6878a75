"""Access to the object store: each module's prefixes, with a verb for each."""

from dataclasses import dataclass
from typing import Literal

from components.mapping.model import Contents

ObjectVerb = Literal["write", "read"]


@dataclass(frozen=True)
class ObjectAccess:
    """What a module may do below a path of a bucket. ``prefix`` may contain ``*``."""

    bucket: str
    prefix: str
    verb: ObjectVerb


def object_access(contents: Contents, module: str) -> tuple[ObjectAccess, ...]:
    """Every object prefix that a module may use, sorted."""
    access = contents.modules[module].rustfs
    grants = {ObjectAccess(path.bucket, path.prefix or "", "write") for path in (*access.owns, *access.writes)}
    grants |= {ObjectAccess(path.bucket, path.prefix or "", "read") for path in access.reads}
    return tuple(sorted(grants, key=lambda item: (item.bucket, item.prefix, item.verb)))
