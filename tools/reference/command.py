"""``docs``: write the reference pages and the HTML site."""

import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from components.mapping import MappingError, load
from provider.postgres.problems import MigrationError
from tools.reference import site
from tools.reference.facts import ReferenceFacts
from tools.reference.markdown import Page
from tools.reference.pages import generate
from tools.reference.svg import DiagramError

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GENERATED = DOCS / "reference"
SITE = DOCS / "site" / "index.html"


def stale(pages: list[Page]) -> list[Path]:
    """Files that are missing, differ from what they should be, or have no page any more."""
    wanted = {DOCS / page.path: page.text for page in pages}
    found = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    return found + [path for path in GENERATED.rglob("*.md") if path not in wanted]


def write(pages: list[Page]) -> int:
    """Bring the pages up to date; how many had to be written or removed."""
    changed = stale(pages)
    texts = {DOCS / page.path: page.text for page in pages}
    for path in changed:
        if path in texts:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[path], encoding="utf-8")
        else:
            path.unlink()
    return len(changed)


def run(more: Sequence[Page] = (), *, check: bool, show: bool) -> int:
    """Write the pages of the mapping, ``more`` pages, and the site of them all.

    Exit code 0, or 1 for a broken mapping and, with ``check``, for pages that are not current.
    """
    try:
        facts = ReferenceFacts(load(ROOT / "schema-mapping.yaml"), ROOT / "sql")
        pages = [*generate(facts), *more]
    except (MappingError, MigrationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if check:
        old = stale(pages)
        for path in old:
            print(f"{path.relative_to(ROOT)} is not current; run: make docs", file=sys.stderr)
        return 1 if old else 0
    changed = write(pages)
    try:
        html = site.render(ROOT, pages)
    except DiagramError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    SITE.parent.mkdir(exist_ok=True)
    SITE.write_text(html, encoding="utf-8")
    print(f"docs/reference: {len(pages)} pages, {changed} changed")
    print(f"docs/site/index.html: {SITE.stat().st_size // 1024} KiB, needs no network")
    if show and not webbrowser.open(SITE.as_uri()):
        print(f"no browser was found; open {SITE}")
    return 0
