"""Buckets with their layout, content types and the SBOM wrapper."""

import json

from tools.reference.facts import Facts, module_page
from tools.reference.markdown import Page, code, fence, link, page, prose, table

PATH = "reference/buckets.md"


def pages(facts: Facts) -> list[Page]:
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
            "One bucket for each top-level path; with path-style addressing the paths below are the URL paths. An "
            "environment may put a prefix before the names.",
            *[block for name in rustfs.buckets for block in _bucket(facts, name)],
            "## Content types",
            table(["Extension", "Content-Type", "What"], types),
            "## SBOM wrapper envelope",
            f"At {code(envelope.path)}:",
            table(["Field", "Type"], fields),
            fence("json", json.dumps(envelope.example, indent=2)),
        )
    ]


def _bucket(facts: Facts, name: str) -> list[str | None]:
    bucket = facts.mapping.rustfs.buckets[name]
    layout = [
        [
            code(f"{name}/{bucket.root}{item}"),
            prose(what.purpose) + ("; its own SHA-256 is the digest in its key" if what.addressed else ""),
        ]
        for item, what in bucket.objects.items()
    ]
    users = [
        [link(prose(facts.name(module)), PATH, module_page(module)), code(path), verb]
        for module in facts.mapping.modules
        for path, verb in facts.objects(module)
        if path.startswith(f"{name}/")
    ]
    notes = [
        "Versioned.",
        f"A version is locked for {bucket.object_lock.retention} after it was written." if bucket.object_lock else "",
        "Keys are digests of their content, so an object never changes." if bucket.content_addressed else "",
        "Nobody deletes here." if bucket.keeps_everything else "",
    ]
    return [
        f"## {name}",
        f"{prose(bucket.purpose)}. {' '.join(note for note in notes if note)}",
        table(["Object", "What"], layout),
        table(["Module", "Path", "May"], users),
    ]
