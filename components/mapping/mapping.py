"""``Mapping``: the content of ``schema-mapping.yaml`` and the access derived from it."""

from collections.abc import Mapping as MappingType
from functools import cached_property
from typing import Any, Self

from components.mapping.access import Access
from components.mapping.model import Contents


class Mapping(Contents):
    """The mapping. ``file`` is its path, for messages."""

    @cached_property
    def file(self) -> str:
        return ""

    @cached_property
    def role_prefix(self) -> str:
        """The beginning of every PostgreSQL role's name; not part of the document."""
        return ""

    def with_role_prefix(self, prefix: str) -> Self:
        """Return this mapping for a stack whose PostgreSQL roles begin with ``prefix``."""
        copied = self.model_copy()
        copied.__dict__["role_prefix"] = prefix
        return copied

    @classmethod
    def read_from(cls, file: str, data: object) -> Self:
        """Validate ``data``, which was read from ``file``. Raises pydantic's ``ValidationError``."""
        mapping = cls.model_validate(data)
        mapping.__dict__["file"] = file  # where cached_property stores its value; not a field of the document
        return mapping

    @cached_property
    def access(self) -> Access:
        """The access of every module and service, derived on first use."""
        return Access(self, self.role_prefix)

    def model_copy(self, *, update: MappingType[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy as pydantic does, without the cached access of the original."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("access", None)
        return copied
