"""The effect of statements, over the corpus that lint, preview and review share."""

from pathlib import Path

import pytest

from provider.postgres.lint import Effect
from provider.postgres.lint.accepted import Accepted
from provider.postgres.lint.check import check_directory
from provider.postgres.lint.effects import WORDS, StatementEffect, classify, describe_effects
from provider.postgres.lint.harmless_functions import HARMLESS, VOLATILE
from provider.postgres.lint.place import Place
from provider.postgres.migration_files import discover, render_all
from provider.postgres.target import SchemaTarget
from tests.support.sql_corpus import APPEND_ONLY, CORPUS, TABLES, Case
from tools.local.servers.postgres import LocalPostgres

PLACE = Place(SchemaTarget.of_schema("vuln"), append_only=APPEND_ONLY)
IDS = [f"{case.effect.name.lower()}-{number}" for number, case in enumerate(CORPUS)]


def second_file(directory: Path, sql: str) -> list[StatementEffect]:
    """Classify a file that comes after the one that created the tables."""
    directory.joinpath("0001_tables.sql.j2").write_text(TABLES)
    directory.joinpath("0002_x.sql.j2").write_text(f"{sql};\n")
    return classify(render_all(discover(directory), PLACE.target.variables)[1], PLACE)


@pytest.mark.parametrize("case", CORPUS, ids=IDS)
def test_each_statement_has_the_right_effect(tmp_path: Path, case: Case) -> None:
    effects = second_file(tmp_path, case.sql)
    worst = max(item.effect for item in effects)
    assert worst.name == case.effect.name, f"{case.sql}\n{[(item.effect.name, item.findings) for item in effects]}"


@pytest.mark.parametrize("case", CORPUS, ids=IDS)
def test_lint_finds_all_but_additive_statements(tmp_path: Path, case: Case) -> None:
    second_file(tmp_path, case.sql)
    _, lines = check_directory(tmp_path, PLACE, Accepted(tmp_path))
    found = [line for line in lines if "/0002_x.sql.j2:" in line]
    assert bool(found) == (case.effect != Effect.ADDITIVE), f"{case.sql}\n{found}"


@pytest.mark.parametrize("case", CORPUS, ids=IDS)
def test_a_preview_names_the_effect_of_all_but_additive_statements(tmp_path: Path, case: Case) -> None:
    second_file(tmp_path, case.sql)
    scripts = render_all(discover(tmp_path), PLACE.target.variables)[1:]
    lines = describe_effects(scripts, PLACE)
    if case.effect == Effect.ADDITIVE:
        assert lines == []
    else:
        assert any(f": {WORDS[case.effect]}: " in line for line in lines), f"{case.sql}\n{lines}"


def test_the_corpus_is_large_and_covers_every_effect() -> None:
    assert len(CORPUS) >= 60 and {case.effect for case in CORPUS} == set(Effect)
    assert len({case.sql for case in CORPUS}) == len(CORPUS)


def test_functions_that_the_lint_calls_harmless_are_stable_on_the_server(postgres_server: LocalPostgres) -> None:
    query = """SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace
               AND p.proname = ANY (%s) GROUP BY 1 HAVING bool_or(p.provolatile = 'v')"""
    with postgres_server.connect() as connection:
        volatile = {row[0] for row in connection.execute(query, (list(HARMLESS),)).fetchall()}
    assert volatile <= VOLATILE, "a function with side effects would pass as additive"
