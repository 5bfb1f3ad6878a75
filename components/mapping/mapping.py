"""``Mapping``: the whole document, and what follows from it."""

from collections.abc import Mapping as MappingType
from functools import cached_property
from typing import Any, Self

from components.mapping.access import Access
from components.mapping.model import Contents


class Mapping(Contents):
    """The whole document. ``file`` is where it was read from, for messages."""

    @cached_property
    def file(self) -> str:
        return ""

    @classmethod
    def read_from(cls, file: str, data: object) -> Self:
        """Validate ``data``, which was read from ``file``. Raises pydantic's ``ValidationError``."""
        mapping = cls.model_validate(data)
        mapping.__dict__["file"] = file  # as cached_property does: not part of the document
        return mapping

    @cached_property
    def access(self) -> Access:
        """What every module and service may do, derived once."""
        return Access(self)

    def model_copy(self, *, update: MappingType[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, but nothing that was derived from the original is kept."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("access", None)
        return copied
