"""Buckets with their layout, content types and the SBOM envelope."""

import json

from tools.reference.facts import ReferenceFacts, module_page
from tools.reference.markdown import Page, code, fence, link, page, prose, table

PATH = "reference/buckets.md"


def pages(facts: ReferenceFacts) -> list[Page]:
    rustfs = facts.mapping.rustfs
    types = [
        [code(extension), code(kind.type), prose(kind.description)] for extension, kind in rustfs.content_types.items()
    ]
    envelope = rustfs.envelope
    fields = [[code(name), code(kind)] for name, kind in envelope.fields.items()]
    return [
        page(
            PATH,
            "Buckets",
            "Object storage",
            "Each top-level path is a bucket. With path-style addressing, the paths below are the paths of URLs. Stack config "
            "may add a prefix to the names of buckets (`bucketPrefix`).",
            *[block for name in rustfs.buckets for block in _bucket(facts, name)],
            "## Content types",
            table(["Extension", "Content-Type", "Description"], types),
            "## SBOM envelope",
            f"At {code(envelope.path)}:",
            table(["Field", "Type"], fields),
            fence("json", json.dumps(envelope.example, indent=2)),
        )
    ]


def _bucket(facts: ReferenceFacts, name: str) -> list[str | None]:
    bucket = facts.mapping.rustfs.buckets[name]
    layout = [
        [
            code(f"{name}/{bucket.root}{item}"),
            prose(definition.purpose) + ("; its SHA-256 is the digest in its key" if definition.addressed else ""),
        ]
        for item, definition in bucket.objects.items()
    ]
    users = [
        [link(prose(facts.name(module)), PATH, module_page(module)), code(path), verb]
        for module in facts.mapping.modules
        for path, verb in facts.objects(module)
        if path.startswith(f"{name}/")
    ]
    notes = [
        "Versioned.",
        f"Each version is locked for {bucket.object_lock.retention} after it is written." if bucket.object_lock else "",
        "Each key contains the digest of its content." if bucket.content_addressed else "",
        "No module may delete objects." if bucket.keeps_everything else "",
    ]
    return [
        f"## {name}",
        f"{prose(bucket.purpose)}. {' '.join(note for note in notes if note)}",
        table(["Object", "Content"], layout),
        table(["Module", "Path", "May"], users),
    ]
