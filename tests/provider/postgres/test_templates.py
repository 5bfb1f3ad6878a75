"""Templates of migrations: variables are inserted, braces in data are never changed silently."""

from pathlib import Path

import jinja2
import pytest

from provider.postgres.statements import ScriptError
from provider.postgres.target import SchemaTarget
from provider.postgres.templates import render_template

SQL = Path(__file__).parents[3] / "sql"
VARIABLES = SchemaTarget("vuln", "vuln_owner").variables


@pytest.mark.parametrize("path", sorted(SQL.glob("*/*.sql.j2")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_projects_migrations_render_as_jinja_renders_them(path: Path) -> None:
    source = path.read_text()
    environment = jinja2.Environment(keep_trailing_newline=True)
    assert render_template(source, VARIABLES) == environment.from_string(source).render(VARIABLES), (
        "a deployed stack would have run another text than the file now gives"
    )


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("SELECT * FROM {{ schema }}.t", "SELECT * FROM vuln.t"),
        ("GRANT x TO {{writer}}, {{\treader }}", "GRANT x TO vuln_writer, vuln_reader"),
        ("SELECT nextval('{{ schema }}.s'), '{{ schema }}', '\"{{ schema }}\".x'", None),
        ("SELECT '{{ '{{' }} name }}'", "SELECT '{{ name }}'"),
        ("SELECT '{% raw %}{{ name }} {% if %} {# x #}{% endraw %}'", "SELECT '{{ name }} {% if %} {# x #}'"),
        ("SELECT '{\"a\": {\"b\": 1}}', '}}', '%}'", "SELECT '{\"a\": {\"b\": 1}}', '}}', '%}'"),
        ("DO $$ BEGIN RAISE 'no {{ schema }} here'; END $$", "DO $$ BEGIN RAISE 'no vuln here'; END $$"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM {{ schema }}.t'", None),
        ("-- of {{ schema }}\nSELECT 1", "-- of vuln\nSELECT 1"),
    ],
)
def test_variables_are_inserted_and_escapes_resolved(source: str, text: str | None) -> None:
    expected = source.replace("{{ schema }}", "vuln") if text is None else text
    assert render_template(source, VARIABLES) == expected


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("SELECT '{{1,2}}'::int[]", "`{{1,2}}'::int[]` is not {{ variable }}"),
        ("SELECT '{{ name }}'", "'name' is undefined"),
        ("SELECT '{% if x %}'", "`{% if x %}'` is not {{ variable }}"),
        ("SELECT '{# note #}'", "`{# note #}'` is not {{ variable }}"),
        ("SELECT {{ schema | upper }}", "`{{ schema | upper }}` is not {{ variable }}"),
        ("SELECT {{- schema }}", "`{{- schema }}` is not {{ variable }}"),
        ("SELECT '{%'", "`{%'` is not {{ variable }}"),
        ("INSERT INTO t VALUES ('Dear {{ owner }},')", "{{ owner }} in a string constant could be data"),
        ("SELECT $$see {{ reader }}$$", "{{ reader }} in a string constant could be data"),
        ("COMMENT ON TABLE t IS '{{ schema }} and more'", "{{ schema }} in a string constant could be data"),
    ],
)
def test_braces_that_could_be_data_are_refused_with_their_line_and_the_escape(source: str, what: str) -> None:
    with pytest.raises(ScriptError) as caught:
        render_template(f"SELECT 'ä';\n\n{source}\n", VARIABLES)
    assert caught.value.line == 3 and caught.value.message.startswith(what), caught.value
    assert "{% raw %}" in caught.value.remedy and "{{ '{{' }}" in caught.value.remedy
