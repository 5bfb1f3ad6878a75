"""Cross-checks of the object store part: owners of prefixes, overlaps, layouts, retention."""

from collections.abc import Iterator

from components.mapping.findings import Finding
from components.mapping.globs import globs_overlap
from components.mapping.mapping import Mapping
from components.mapping.values import PLACEHOLDER, ObjectPath


def check(mapping: Mapping) -> list[Finding]:
    """All findings, in no particular order."""
    return [*_paths(mapping), *_layout(mapping)]


def _paths(mapping: Mapping) -> Iterator[Finding]:
    buckets = mapping.rustfs.buckets
    owned: list[tuple[str, ObjectPath]] = []
    for name, module in mapping.modules.items():
        for verb in ("owns", "writes", "reads"):
            for index, path in enumerate(getattr(module.rustfs, verb)):
                where = ("modules", name, "rustfs", verb, index)
                if path.bucket not in buckets:
                    yield Finding(where, f"no bucket {path.bucket!r}", path.bucket, tuple(buckets))
                elif path.prefix is None:
                    yield Finding(where, f"{path!r} has no prefix; write {path}/ for the whole bucket")
                elif "{" in path:
                    yield Finding(where, f"{path!r} contains a placeholder; write * to match any text in its place")
                elif verb == "owns":
                    for other, other_path in owned:
                        if globs_overlap(_glob(path), _glob(other_path)):
                            yield Finding(where, f"prefix {path!r} of {name} overlaps {other_path!r} of {other}")
                    owned.append((name, path))
    for bucket in buckets:
        if not any(path.bucket == bucket for _, path in owned):
            yield Finding(
                ("rustfs", "buckets", bucket), f"bucket {bucket!r} has no owner; list it under owns of one module"
            )


def _glob(path: ObjectPath) -> str:
    return f"{path}*" if path.is_folder else path


def _layout(mapping: Mapping) -> Iterator[Finding]:
    types = tuple(mapping.rustfs.content_types)
    for bucket, definition in mapping.rustfs.buckets.items():
        if not definition.root.is_folder:
            yield Finding(("rustfs", "buckets", bucket, "root"), f"root {definition.root!r} must end in /")
        for name in definition.objects:
            template, object_path = definition.root + name, ("rustfs", "buckets", bucket, "objects", name)
            placeholders = PLACEHOLDER.findall(template)
            if len(set(placeholders)) < len(placeholders):
                yield Finding(object_path, f"{template!r} uses a placeholder twice; its value would be ambiguous")
            if "*" in template:
                yield Finding(object_path, f"{template!r} contains *; use a placeholder instead, like {{digest}}")
            if not name.is_folder and not name.endswith(types):
                yield Finding(
                    object_path, f"{name!r} has no content type; add its extension under rustfs.content_types"
                )
        yield from _retention(mapping, bucket)
    envelope = mapping.rustfs.envelope
    paths = object_templates(mapping)
    if envelope.path not in paths:
        yield Finding(
            ("rustfs", "envelope", "path"), f"no object {envelope.path!r} in the layout", envelope.path, paths
        )
    for field in envelope.example:
        if field not in envelope.fields:
            yield Finding(
                ("rustfs", "envelope", "example", field),
                f"no field {field!r} in the envelope",
                field,
                tuple(envelope.fields),
            )


def _retention(mapping: Mapping, bucket: str) -> Iterator[Finding]:
    definition = mapping.rustfs.buckets[bucket]
    bucket_path = ("rustfs", "buckets", bucket)
    addressed = [name for name, item in definition.objects.items() if item.addressed]
    if definition.content_addressed != (len(addressed) == 1):
        expected = "needs exactly one" if definition.content_addressed else "must not have an"
        yield Finding(
            (*bucket_path, "objects"),
            f"a bucket with content_addressed: {str(definition.content_addressed).lower()} {expected} object with"
            " addressed: true",
        )
    if definition.content_addressed and "{full_digest}" not in definition.root:
        yield Finding((*bucket_path, "root"), "the root of a content-addressed bucket must contain {full_digest}")
    longest = mapping.backups.rustfs.retention
    for prefix, retention in definition.noncurrent_versions.items():
        path = (*bucket_path, "noncurrent_versions", prefix)
        if retention.days >= longest.days:
            yield Finding(
                path,
                f"{retention} must be shorter than backups.rustfs.retention ({longest}), or it would have no effect",
            )
        if not prefix.is_folder or "*" in prefix or "{" in prefix:
            yield Finding(path, f"{prefix!r} must be a literal key prefix that ends in /")


def object_templates(mapping: Mapping) -> tuple[str, ...]:
    """Every object template with its bucket: ``blobs/{sha256_prefix}/{full_digest}/sbom.json``."""
    return tuple(
        f"{bucket}/{definition.root}{name}"
        for bucket, definition in mapping.rustfs.buckets.items()
        for name in definition.objects
    )
