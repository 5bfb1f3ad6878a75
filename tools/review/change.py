"""What a reviewer reads: one ``Change`` for each thing that will be different."""

from dataclasses import dataclass

from tools.review.risk import Risk

# The order of the comment's sections.
STORES = ("PostgreSQL", "Valkey", "Object store", "Kubernetes", "Stack")

MappingPath = tuple[str | int, ...]


@dataclass(frozen=True)
class RatedChange:
    """``sentence`` is Markdown whose values are escaped already. ``resource`` is the name that an approval gives,
    ``group`` the module, schema or bucket under which it is shown, ``origin`` the place in the mapping (or a file)
    that asks for it, and ``urns`` the resources whose properties are its details."""

    risk: Risk
    store: str
    group: str
    sentence: str
    resource: str
    origin: MappingPath | str = ()
    urns: tuple[str, ...] = ()
    extra: str = ""
