"""The layout of a bucket's keys: templates with their content types, and checks of keys.

A template is the bucket's root and an object's name: ``{sha256_prefix}/{full_digest}/sbom.json``. A name that ends in
``/`` is a prefix, which matches every longer key.
"""

import re
from dataclasses import dataclass
from functools import cached_property

from components.mapping import Mapping
from components.mapping.model import Bucket
from components.rustfs.policies import SHA256_PREFIX_LENGTH

# A placeholder matches one level of the key.
_ONE_LEVEL = r"[^/]+"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


@dataclass(frozen=True)
class Template:
    """``key`` as in the mapping. ``content_type`` is None for a prefix, below which each object's extension decides.

    ``addressed``: whether the key has the digest of the content.
    """

    key: str
    content_type: str | None
    addressed: bool


class Layout:
    """The layout of one bucket. ``types`` maps extensions to content types."""

    def __init__(self, bucket: Bucket, types: dict[str, str]) -> None:
        self._bucket = bucket
        self._types = sorted(types.items(), key=lambda item: -len(item[0]))

    @staticmethod
    def of(mapping: Mapping, bucket: str) -> "Layout":
        types = {extension: item.type for extension, item in mapping.rustfs.content_types.items()}
        return Layout(mapping.rustfs.buckets[bucket], types)

    @property
    def templates(self) -> tuple[Template, ...]:
        """In the mapping's order."""
        return tuple(
            Template(f"{self._bucket.root}{name}", None if name.is_folder else self.content_type(name), item.addressed)
            for name, item in self._bucket.objects.items()
        )

    def content_type(self, key: str) -> str | None:
        """The content type of the longest matching extension in the mapping; None if none matches."""
        return next((kind for extension, kind in self._types if key.endswith(extension)), None)

    def fault(self, key: str) -> str | None:
        """The problem with the key, as text; None if the key matches the layout."""
        match = next((found for found in (pattern.fullmatch(key) for pattern in self._patterns) if found), None)
        if match is None:
            return "matches no template of the layout"
        parts = match.groupdict()
        if "full_digest" not in parts:
            return None
        digest = _DIGEST.fullmatch(parts["full_digest"])
        if digest is None:
            return f"{parts['full_digest']} is not a SHA-256 digest (64 hexadecimal digits)"
        first = digest[1][:SHA256_PREFIX_LENGTH]
        if parts.get("sha256_prefix", first) != first:
            return f"its prefix is {parts['sha256_prefix']}, and the digest begins with {first}"
        return None

    def digest(self, key: str) -> str | None:
        """The SHA-256 in ``key`` that the content must have; None if the key is not content-addressed."""
        for template, pattern in zip(self.templates, self._patterns, strict=True):
            match = pattern.fullmatch(key) if template.addressed else None
            digest = _DIGEST.fullmatch(match["full_digest"]) if match else None
            if digest:
                return digest[1]
        return None

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(_expression(template.key)) for template in self.templates)


def _expression(template: str) -> str:
    parts = _PLACEHOLDER.split(template)
    # Literal text and placeholder names alternate.
    texts = [f"(?P<{part}>{_ONE_LEVEL})" if index % 2 else re.escape(part) for index, part in enumerate(parts)]
    return "".join(texts) + (".+" if template.endswith("/") else "")
