"""The review rates pending migrations by the same corpus as lint and preview."""

from pathlib import Path

import pytest

from provider.postgres.lint import Effect
from provider.postgres.migration_files import checksum
from tests.support.sql_corpus import APPEND_ONLY, CORPUS, Case
from tests.tools.review.synthetic import event, sentences, verdict
from tools.review.risk import Risk
from tools.review.tokens import MIGRATIONS

EXPECTED = {
    Effect.ADDITIVE: (Risk.ADDITIVE, "will run ("),
    Effect.BLOCKING: (Risk.ADDITIVE, "**blocks other sessions**: `"),
    Effect.REVOKES: (Risk.ACCESS_REVOKED, "**revokes access**: `"),
    Effect.WIDENS_ACCESS: (Risk.ACCESS_WIDENED, "**widens access**: `"),
    Effect.MAY_DO_ANYTHING: (Risk.DATA_LOSS, "**may do anything**, because the review cannot determine"),
    Effect.DESTROYS_DATA: (Risk.DATA_LOSS, "**destroys data**: `"),
}


def described(tmp_path: Path, sql: str) -> list[tuple[Risk, str]]:
    directory = tmp_path / "sql" / "vuln"
    directory.mkdir(parents=True)
    (directory / "0002_x.sql.j2").write_text(sql)
    old = {
        "schema": "vuln",
        "owner": "vuln_owner",
        "directory": "sql/vuln",
        "migrations": ["0001_a.sql.j2 sha256:1"],
        "appendOnly": sorted(APPEND_ONLY),
    }
    new = {**old, "migrations": [*old["migrations"], f"0002_x.sql.j2 sha256:{checksum(sql)}"]}
    return sentences(verdict(event("update", MIGRATIONS, "vuln", old, new), root=tmp_path))


@pytest.mark.parametrize("case", CORPUS, ids=[f"{case.effect.name.lower()}-{n}" for n, case in enumerate(CORPUS)])
def test_each_statement_has_the_risk_of_its_effect(tmp_path: Path, case: Case) -> None:
    found = described(tmp_path, f"{case.sql};\n")
    risk, words = EXPECTED[case.effect]
    assert max(item[0] for item in found) == risk, f"{case.sql}\n{found}"
    assert any(item[0] == risk and words in item[1] for item in found), f"{case.sql}\n{found}"


def test_each_effect_of_a_file_has_its_own_sentence(tmp_path: Path) -> None:
    found = described(
        tmp_path,
        "GRANT SELECT ON {{ schema }}.old TO PUBLIC;\nDROP TABLE {{ schema }}.old;\nCREATE TABLE {{ schema }}.t (id int);\n",
    )
    assert [risk for risk, _ in found] == [Risk.DATA_LOSS, Risk.ACCESS_WIDENED], found


def test_a_mark_that_leaves_with_the_rows_is_still_evidence(tmp_path: Path) -> None:
    sql = "UPDATE {{ schema }}.raw SET source = 'x' WHERE id = 1;\n"
    (tmp_path / "sql" / "vuln").mkdir(parents=True)
    (tmp_path / "sql" / "vuln" / "0001_x.sql.j2").write_text(sql)
    old = {"schema": "vuln", "directory": "sql/vuln", "migrations": [], "appendOnly": ["raw"]}
    new = {**old, "migrations": [f"0001_x.sql.j2 sha256:{checksum(sql)}"], "appendOnly": []}
    found = sentences(verdict(event("update", MIGRATIONS, "vuln", old, new), root=tmp_path))
    assert any("**destroys data**" in text for _, text in found), found
