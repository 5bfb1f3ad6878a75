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
    """Files that are missing or outdated, and files that belong to no page."""
    texts = {DOCS / page.path: page.text for page in pages}
    outdated = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    return outdated + [path for path in GENERATED.rglob("*.md") if path not in texts]


def write(pages: list[Page]) -> int:
    """Write stale pages and delete obsolete ones; return the number of changed files."""
    changed = stale(pages)
    texts = {DOCS / page.path: page.text for page in pages}
    for path in changed:
        if path in texts:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[path], encoding="utf-8")
        else:
            path.unlink()
    return len(changed)


def run(extra_pages: Sequence[Page] = (), *, check: bool, show: bool) -> int:
    """Write the reference pages, ``extra_pages``, and the site; ``show`` opens it in a browser.

    Return exit code 1 for an invalid mapping or migration and, with ``check``, for pages that are not current, else 0.
    """
    try:
        facts = ReferenceFacts(load(ROOT / "schema-mapping.yaml"), ROOT / "sql")
        pages = [*generate(facts), *extra_pages]
    except (MappingError, MigrationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if check:
        outdated = stale(pages)
        for path in outdated:
            print(f"{path.relative_to(ROOT)} is not current; run: make docs", file=sys.stderr)
        return 1 if outdated else 0
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
