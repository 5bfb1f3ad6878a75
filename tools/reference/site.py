"""Render the HTML site: every page in one file, with search, a light and a dark theme, and diagrams as SVG."""

import itertools
import posixpath
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

import jinja2
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

from tools.reference import svg
from tools.reference.markdown import Page, anchor

TEMPLATES = Path(__file__).parent / "templates"
# Heading in the navigation -> pages under it that are written by hand.
WRITTEN = {
    "Guides": (
        "docs/guides/first-hour.md",
        "docs/guides/add-a-module.md",
        "docs/guides/add-a-table.md",
        "docs/guides/grant-a-read.md",
        "docs/guides/rotate.md",
        "docs/guides/restore.md",
        "docs/guides/use-the-contract.md",
        "docs/guides/production.md",
        "docs/guides/adopt-a-database.md",
        "docs/guides/closed-network.md",
    ),
    "In depth": (
        "docs/local-stack.md",
        "docs/migrations.md",
        "docs/tenant-isolation.md",
        "docs/valkey.md",
        "docs/valkey-kubernetes.md",
        "docs/object-storage.md",
        "docs/backups.md",
        "docs/drift.md",
        "docs/faults.md",
        "docs/review.md",
    ),
    "About": ("ARCHITECTURE.md", "docs/why.md", "CONTRIBUTING.md", "CHANGELOG.md"),
}
REPOSITORY_ONLY = "a file in the repository, not a page of this site"


@dataclass(frozen=True)
class Section:
    """One page for the template; ``source`` is its path in the repository."""

    id: str
    title: str
    group: str
    html: Markup
    source: str


def render(root: Path, pages: list[Page]) -> str:
    """Render the site as one file. Raises ``DiagramError`` for a diagram that cannot be drawn."""
    sources = [*_written(root), *((f"docs/{page.path}", page.title, page.group, page.text) for page in pages)]
    known = {source for source, *_ in sources}
    sections = [
        Section(_id(source), title.replace("\\", ""), group, Markup(_html(source, text, known)), source)  # noqa: S704
        for source, title, group, text in sources
    ]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    groups = list(dict.fromkeys(section.group for section in sections))
    return environment.get_template("site.html.j2").render(
        sections=sections,
        groups=groups,
        css=Markup((TEMPLATES / "site.css").read_text(encoding="utf-8")),  # noqa: S704
        js=Markup((TEMPLATES / "site.js").read_text(encoding="utf-8")),  # noqa: S704
    )


def _written(root: Path) -> list[tuple[str, str, str, str]]:
    found = []
    for group, paths in WRITTEN.items():
        for path in paths:
            text = (root / path).read_text(encoding="utf-8")
            found.append((path, text.partition("\n")[0].removeprefix("# "), group, text))
    return found


def _id(source: str) -> str:
    return source.removeprefix("docs/").removesuffix(".md").replace("/", "-").lower()


def _html(source: str, text: str, known: set[str]) -> str:
    parser = MarkdownIt("commonmark").enable("table")
    tokens = parser.parse(text)
    _headings(tokens, source)
    for token in tokens:
        for child in token.children or ():
            if child.type == "link_open":
                _link(child, source, known)
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("table_open", lambda *_: '<div class="wide"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    try:
        return str(parser.renderer.render(tokens, parser.options, {}))
    except svg.DiagramError as error:
        raise svg.DiagramError(f"{source}: {error}") from None


def _headings(tokens: list[Token], source: str) -> None:
    for token, inline in itertools.pairwise(tokens):
        if token.type == "heading_open" and token.tag != "h1":
            token.attrSet("id", f"{_id(source)}--{anchor(inline.content.replace('`', ''))}")


def _link(token: Token, source: str, known: set[str]) -> None:
    """Turn links between pages into links within the file, and remove links to other files in the repository."""
    href = str(token.attrGet("href") or "")
    if re.match(r"[a-z]+:", href):
        return
    path, _, fragment = href.partition("#")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path)) if path else source
    if target in known:
        token.attrSet("href", f"#{_id(target)}{f'--{fragment}' if fragment else ''}")
    else:
        token.attrs.pop("href", None)
        token.attrSet("title", f"{target}: {REPOSITORY_ONLY}")


def _fence(_self: RendererHTML, tokens: list[Token], index: int, *_: object) -> str:
    token = tokens[index]
    language = token.info.split()[0] if token.info else ""
    if language == "mermaid":
        return f'<figure class="wide">{svg.draw(svg.parse(token.content), _title(tokens, index))}</figure>\n'
    name = f' data-language="{escape(language)}"' if language else ""
    return f'<div class="code"><pre{name}><code>{escape(token.content)}</code></pre></div>\n'


def _title(tokens: list[Token], index: int) -> str:
    """Return a title with the nearest heading above a diagram."""
    headings = [tokens[at + 1].content for at in range(index) if tokens[at].type == "heading_open"]
    return f"Diagram: {headings[-1]}" if headings else "Diagram"
