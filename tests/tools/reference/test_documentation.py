"""The reference says what the mapping and the migrations say, and the site draws and links all of it."""

import re
from pathlib import Path

import pytest

from components.mapping import load, loads
from provider.postgres.problems import MigrationError
from tools.reference import catalog, command, site, svg
from tools.reference.facts import ReferenceFacts
from tools.reference.markdown import Page
from tools.reference.pages import generate
from tools.reference.svg.layout import arrange

ROOT = Path(__file__).parents[3]
MAPPING = load(ROOT / "schema-mapping.yaml")
FACTS = ReferenceFacts(MAPPING, ROOT / "sql")
PAGES = {page.path: page for page in generate(FACTS)}


@pytest.fixture(scope="module")
def html() -> str:
    return site.render(ROOT, list(PAGES.values()))


def test_every_module_service_and_schema_has_a_page() -> None:
    wanted = {f"reference/modules/{name}.md" for name in MAPPING.users}
    wanted |= {f"reference/schemas/{name}.md" for name in MAPPING.postgres.schemas}
    assert wanted <= set(PAGES) and len(wanted) == 27 + 11


def test_a_schema_page_has_columns_keys_and_who_may_do_what() -> None:
    text = PAGES["reference/schemas/scanner.md"].text
    assert "| `scan_id` | `uuid` | not null |  | primary key → `scanner.scans` |" in text
    assert "**Append-only**: raw SBOMs are evidence" in text
    assert "| [Attestor](../modules/attestor.md) | SELECT |" in text
    assert "Check: `state IN ('pending', 'acquired', 'running', 'completed', 'failed')`" in text


def test_a_module_page_says_what_it_may_and_how_it_connects() -> None:
    text = PAGES["reference/modules/signer.md"].text
    row = "SELECT on `client_id`, `tenant_id`, `name`, `client_type`, `scopes`"
    assert f"| [`authority.clients`](../schemas/authority.md) | {row} |" in text
    assert 'eval "$(make -s env MODULE=signer)"' in text and "`stellaops-storage-signer`" in text


def test_a_module_page_names_what_no_acl_can_prevent_and_who_is_concerned() -> None:
    text = (
        PAGES["reference/modules/scanner.md"].text.partition("### What the ACL cannot prevent")[2].partition("\n## ")[0]
    )
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    by_stream = {row[1]: row for row in rows if len(row) == 3 and row[1].startswith("`sc")}
    assert "trim" in by_stream["`scanner:events`"][0] and "[Policy](policy.md)" in by_stream["`scanner:events`"][2]
    assert (
        "delete consumers" in by_stream["`scheduler:jobs`"][0]
        and by_stream["`scheduler:jobs`"][2] == "[Policy](policy.md)"
    )
    assert any(row[1] == "`events:*`, `queue:*`" and "memory" in row[0] for row in rows)
    assert ["`scanner`", "`scheduler:jobs`", "[Scheduler](scheduler.md)", "[Policy](policy.md)"] in rows


def test_the_access_matrix_says_for_each_schema_how_far_a_module_gets() -> None:
    lines = PAGES["reference/access.md"].text.splitlines()
    head = next(line for line in lines if line.startswith("| Module |"))
    column = [cell.strip() for cell in head.split("|")].index("[`vex`](schemas/vex.md)")
    cells = {match[1]: line.split("|")[column].strip() for line in lines if (match := re.match(r"\| \[(\w+)\]", line))}
    assert {cells[name] for name in ("Excititor", "VexLens", "VexHub", "IssuerDirectory", "Scanner")} == {
        "**O**", "**R**", "**R**w", "r", "-",
    }  # fmt: skip
    assert cells["Excititor"] == "**O**" and cells["IssuerDirectory"] == "r" and cells["Scanner"] == "-"


def test_every_key_of_stack_config_is_described() -> None:
    text = PAGES["reference/configuration.md"].text
    assert "| `postgresHost` | string | **must be set** |" in text
    assert "| `contractObjects` | boolean | `true` |" in text
    assert "| `postgresAdminPassword` | string, secret |" in text


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in PAGES.values():
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.text):
            path = (ROOT / "docs" / page.path).parent / target
            assert path.resolve().exists(), f"{page.path} leads to {target}, which is not there"


def test_links_of_written_pages_lead_somewhere() -> None:
    for path in [*(path for paths in site.WRITTEN.values() for path in paths), "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / path).read_text()):
            assert ((ROOT / path).parent / target).resolve().exists(), f"{path} leads to {target}, which is not there"


def test_text_of_the_mapping_is_no_markup() -> None:
    text = (ROOT / "schema-mapping.yaml").read_text()
    changed = text.replace("purpose: Explains VEX consensus", 'purpose: "A | B <script> [x](y) *z*"')
    assert changed != text
    pages = {
        page.path: page
        for page in generate(ReferenceFacts(loads(changed.encode(), "schema-mapping.yaml"), ROOT / "sql"))
    }
    rendered = site.render(ROOT, list(pages.values()))
    assert "A | B &lt;script&gt; [x](y) *z*" in rendered


def test_the_committed_pages_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "DOCS", tmp_path)
    monkeypatch.setattr(command, "GENERATED", tmp_path / "reference")
    pages = [Page("reference/a.md", "A", "Overview", "# A\n"), Page("reference/b.md", "B", "Overview", "# B\n")]
    assert command.write(pages) == 2 and command.stale(pages) == []
    (tmp_path / "reference" / "a.md").write_text("# edited\n")
    (tmp_path / "reference" / "gone.md").write_text("# Of a module that was taken away\n")
    assert {path.name for path in command.stale(pages)} == {"a.md", "gone.md"}
    assert command.write(pages) == 2 and command.stale(pages) == []
    assert not (tmp_path / "reference" / "gone.md").exists()


def test_the_site_loads_nothing_and_leads_nowhere_broken(html: str) -> None:
    assert not re.search(r'(?:src|href)="(?!#)(?!https?://)', html), "one file must be enough"
    assert not re.search(r"<(?:link|img|iframe|script)[^>]+(?:src|href)=", html), "nothing may be fetched"
    assert "url(" not in html and "@import" not in html
    ids = set(re.findall(r'\bid="([^"]+)"', html))
    dead = {target for target in re.findall(r'href="#([^"]+)"', html) if target not in ids}
    assert not dead, f"links to nothing: {dead}"


def test_every_diagram_of_the_pages_is_drawn(html: str) -> None:
    fences = sum(page.text.count("```mermaid") for page in PAGES.values())
    written = sum((ROOT / path).read_text().count("```mermaid") for paths in site.WRITTEN.values() for path in paths)
    assert html.count("<svg") == fences + written >= 11 + 2 + 1


@pytest.mark.parametrize("text", ["sequenceDiagram\n a->>b: c", "flowchart LR\n a ==> b", 'erDiagram\n "a" {\n x\n }'])
def test_a_diagram_that_the_site_cannot_draw_is_refused(text: str) -> None:
    with pytest.raises(svg.DiagramError, match="the site"):
        svg.parse(text)


def test_a_drawn_table_names_every_column_and_key() -> None:
    drawn = svg.draw(
        svg.parse('erDiagram\n "a" {\n uuid id PK\n }\n "b" {\n uuid a_id FK\n }\n "a" ||--o{ "b" : "a_id"'), "x"
    )
    assert all(f">{word}<" in drawn for word in ("a", "b", "id", "PK", "a_id", "FK"))
    assert drawn.count('class="edge"') == 1


def test_nodes_never_overlap_and_edges_run_onward() -> None:
    sizes = {name: (80.0, 30.0 + 10 * index) for index, name in enumerate("abcdefgh")}
    edges = [("a", "c"), ("b", "c"), ("a", "d"), ("c", "e"), ("a", "e"), ("d", "f"), ("e", "a"), ("b", "h"), ("g", "g")]
    layout = arrange(sizes, edges)
    boxes = [(*layout.places[name], *sizes[name]) for name in sizes]
    for index, (x1, y1, w1, h1) in enumerate(boxes):
        for x2, y2, w2, h2 in boxes[index + 1 :]:
            assert x1 + w1 <= x2 or x2 + w2 <= x1 or y1 + h1 <= y2 or y2 + h2 <= y1, "one box would hide another"
    assert layout.places["a"][0] < layout.places["c"][0] < layout.places["e"][0]
    assert len(layout.bends[4]) == 2, "the long edge from a to e passes its neighbours' layer in a straight line"


def test_later_migrations_change_what_earlier_ones_said(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "0001_tables.sql.j2").write_text(
        "CREATE TABLE {{ schema }}.a (id int PRIMARY KEY, b text, c text NOT NULL);\n"
        "CREATE TABLE {{ schema }}.gone (id int);\n"
    )
    (tmp_path / "shop" / "0002_more.sql.j2").write_text(
        "ALTER TABLE {{ schema }}.a ADD COLUMN d int REFERENCES {{ schema }}.a, ADD CHECK (d > 0),\n"
        "  ALTER COLUMN b SET NOT NULL, ALTER COLUMN c DROP NOT NULL, ALTER COLUMN b SET DEFAULT 'x';\n"
        "CREATE UNIQUE INDEX a_b ON {{ schema }}.a (b, c);\nDROP TABLE {{ schema }}.gone;\n"
    )
    found = catalog.read(["shop"], tmp_path)
    facts = found["shop", "a"]
    assert set(found) == {("shop", "a")} and facts.not_null == {"id", "b"} and facts.defaults == {"b": "'x'"}
    assert facts.foreign_keys == [catalog.ForeignKey(("d",), "shop.a", ("id",))] and facts.checks == ["d > 0"]
    assert facts.indexes == {"a_b": "unique (b, c)"}


def test_sql_with_an_error_is_named_with_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "0001_tables.sql.j2").write_text("CREATE TABLE {{ schema }}.a (id int);\n\nCREAT TABLE b;\n")
    with pytest.raises(MigrationError, match=r"0001_tables\.sql\.j2:3: PostgreSQL's parser refuses it: syntax error"):
        catalog.read(["shop"], tmp_path)
