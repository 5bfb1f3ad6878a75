"""Types of config values: each has a constraint, and words that describe it.

They reject a name that a store or Kubernetes would refuse or misinterpret (in a policy, a ``*`` in a bucket's name also
matches other buckets) before any store is changed. An empty text is an unset key.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator

Value = TypeVar("Value")

ObjectStoreTarget = Literal["rustfs", "minio", "aws"]
TenantIsolation = Literal["off", "row-level-security"]
ROW_LEVEL_SECURITY: TenantIsolation = "row-level-security"
# Ordered from the most tolerant to the strictest.
ReviewThreshold = Literal[
    "data-loss", "access-widened", "access-revoked", "retention-shortened", "restart", "additive"
]  # fmt: skip
SslMode = Literal["verify-full", "verify-ca", "require", "prefer", "allow", "disable"]

SENTINELS_MINIMUM = 3  # One runs next to each server; if a server fails, two others must agree on the new primary.


@dataclass(frozen=True)
class Rule(Generic[Value]):
    """A constraint. ``words`` completes the sentence "it must be ..."."""

    words: str
    holds: Callable[[Value], bool]

    def __call__(self, value: Value) -> Value:
        if value != "" and not self.holds(value):
            raise ValueError(f"must be {self.words}")
        return value


def matching(expression: str, words: str) -> Any:
    """Return the constraint that ``expression`` matches the whole value."""
    pattern = re.compile(expression)
    rule: Rule[Any] = Rule(words, lambda value: pattern.fullmatch(str(value)) is not None)
    return AfterValidator(rule)


def between(minimum: int, maximum: int) -> Any:
    rule: Rule[int] = Rule(f"a whole number from {minimum} to {maximum}", lambda value: minimum <= value <= maximum)
    return AfterValidator(rule)


def _parse_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "True", "false", "False"):
        return bool(value in ("true", "True"))
    raise ValueError("must be true or false")


def _parse_int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    raise ValueError("must be a whole number")


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_HOST = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}"
_PRINTABLE = r"[^\x00-\x1f\x7f]*"
_CRON = r"@(yearly|monthly|weekly|daily|hourly)|([0-9A-Za-z*,/-]+ ){4}[0-9A-Za-z*,/-]+"
_TAG = r"(?!latest$)[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"

Switch = Annotated[bool, BeforeValidator(_parse_bool)]
_Int = Annotated[int, BeforeValidator(_parse_int)]
Port = Annotated[_Int, between(1, 65535)]
Rotation = Annotated[_Int, between(1, 2**31 - 1)]
Replicas = Annotated[
    _Int,
    AfterValidator(
        Rule[int](
            f"0, or at least {SENTINELS_MINIMUM - 1}, so that at least {SENTINELS_MINIMUM} Sentinels run, one next to each "
            "server",
            lambda value: value == 0 or value >= SENTINELS_MINIMUM - 1,
        )
    ),
]

FilePath = Annotated[Path, matching(_PRINTABLE, "a path without control characters")]
DirectoryPath = Annotated[str, matching(_PRINTABLE, "a path without control characters")]
KubeconfigContext = Annotated[str, matching(_PRINTABLE, "a context name without control characters")]

Host = Annotated[str, matching(_HOST, "a host name or an IP address")]
Endpoint = Annotated[
    str,
    matching(
        rf"https?://({_HOST}|\[[0-9A-Fa-f:.]+\])(:[0-9]{{1,5}})?/?", "a URL such as https://rustfs.example.org:9000"
    ),
]
Region = Annotated[str, matching(r"[a-z0-9-]{1,40}", "at most 40 lower-case letters, digits and -")]

RoleName = Annotated[
    str,
    matching(r"[A-Za-z_][A-Za-z0-9_.@-]{0,62}", "at most 63 letters, digits and _ . @ -, starting with a letter or _"),
]
RolePrefix = Annotated[
    str,
    matching(
        r"(?!pg_)[a-z][a-z0-9_]{0,30}",
        "at most 31 lower-case letters, digits and _, starting with a letter and not with pg_",
    ),
]
DatabaseName = Annotated[
    str,
    matching(
        r"(?!pg_)[a-z][a-z0-9_]{0,54}",
        "at most 55 lower-case letters, digits and _, starting with a letter and not with pg_",
    ),
]
SchemaName = Annotated[str, matching(r"\*|[a-z][a-z0-9_]{0,55}", "a schema name, or * for all")]
ValkeyUserName = Annotated[
    str, matching(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}", "at most 63 letters, digits and _ . -, not starting with . or -")
]

KubernetesName = Annotated[
    str,
    matching(
        _SUBDOMAIN, "a Kubernetes name: lower-case letters, digits, - and ., starting and ending with a letter or digit"
    ),
]
NamespaceName = Annotated[
    str,
    matching(
        _LABEL,
        "a namespace name: at most 63 lower-case letters, digits and -, starting and ending with a letter or digit",
    ),
]
NamespaceTemplate = Annotated[
    str, matching(r"([a-z0-9-]|\{module\}){1,63}", "lower-case letters, digits, - and {module}")
]
CronSchedule = Annotated[str, matching(_CRON, "a cron schedule of five fields, such as 17 3 * * *")]
VolumeSize = Annotated[str, matching(r"[1-9][0-9]{0,9}(Mi|Gi|Ti|M|G|T)", "a size such as 20Gi")]
ImageName = Annotated[
    str,
    matching(
        rf"(?=.{{1,254}}$)[a-z0-9][A-Za-z0-9._:/-]*:{_TAG}",
        "name:version, where the version is not latest; put a digest into the key with the suffix Digest",
    ),
]
ImageDigest = Annotated[str, matching(r"sha256:[0-9a-f]{64}", "sha256: and 64 hexadecimal digits")]

BucketName = Annotated[
    str,
    matching(
        r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
        "a bucket name: 3 to 63 lower-case letters, digits and -, starting and ending with a letter or digit",
    ),
]
BucketPrefix = Annotated[
    str, matching(r"[a-z0-9][a-z0-9-]{0,40}", "at most 41 lower-case letters, digits and -, not starting with -")
]

# Comma-separated in stack config.
DatabaseNames = Annotated[frozenset[RoleName], BeforeValidator(_split)]
RoleNames = DatabaseNames
SchemaNames = Annotated[frozenset[SchemaName], BeforeValidator(_split)]
BucketNames = Annotated[frozenset[BucketName], BeforeValidator(_split)]
NamespaceNames = Annotated[tuple[NamespaceName, ...], BeforeValidator(_split)]


def is_namespace(name: str) -> bool:
    """Whether Kubernetes accepts ``name`` for a namespace."""
    return re.fullmatch(_LABEL, name) is not None
