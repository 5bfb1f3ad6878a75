"""Rules of the planned state, labels that approve, thresholds, masks and the contract's difference."""

import json
from pathlib import Path

import pytest
import yaml

from components.contract import document as contract
from components.mapping import load
from tests.tools.review.synthetic import ROOT, event, preview, verdict
from tools.review.approval import Approvals, label
from tools.review.change import STORES, RatedChange
from tools.review.contract_diff import compare
from tools.review.mask import mask
from tools.review.policy import plain_secrets
from tools.review.risk import Risk
from tools.review.tokens import BUCKET, GRANT, MIGRATIONS, ROLE, SCHEMA, VERSIONING
from tools.review.verdict import threshold

OWNER = event("same", ROLE, "vex_owner", {"name": "vex_owner"}, {"name": "vex_owner"})


def rules(*events: dict[str, object], stack: str = "dev", config: dict[str, str] | None = None) -> list[str]:
    found = verdict(*events, config=config)
    found.preview.stack = stack
    return [item.rule for item in found.violations]


def test_a_bucket_without_versioning_breaks_a_rule() -> None:
    bucket = event("create", BUCKET, "blobs", None, {"bucket": "blobs"})
    versioned = event(
        "create", VERSIONING, "blobs", None, {"bucket": "blobs", "versioningConfiguration": {"status": "Enabled"}}
    )
    assert rules(bucket) == ["bucket-versioning"]
    assert rules(bucket, versioned) == []


def test_an_unprotected_owner_breaks_a_rule_on_prod_only() -> None:
    guarded = event("same", ROLE, "vex_owner", {"name": "vex_owner"}, {"name": "vex_owner"}, protect=True)
    assert rules(OWNER, stack="prod") == ["protected-owners"]
    assert rules(OWNER, stack="dev") == []
    assert rules(guarded, stack="prod") == []


def _migrations(before: list[str], after: list[str]) -> dict[str, object]:
    return event(
        "update", MIGRATIONS, "vex", {"schema": "vex", "appendOnly": before}, {"schema": "vex", "appendOnly": after}
    )


def test_evidence_that_loses_its_triggers_breaks_a_rule() -> None:
    assert rules(_migrations(["vex_raw"], [])) == ["evidence-triggers"]
    assert rules(_migrations(["consensus"], [])) == [], "what is evidence is told by its name"


def test_evidence_that_never_had_triggers_breaks_a_rule() -> None:
    grant = event(
        "create",
        GRANT,
        "g",
        None,
        {
            "role": "vex_writer",
            "schema": "vex",
            "objectType": "table",
            "objects": ["other_raw"],
            "privileges": ["INSERT"],
        },
    )
    assert rules(grant, _migrations([], [])) == ["evidence-triggers"]


def test_the_right_to_change_append_only_rows_breaks_a_rule() -> None:
    grant = event(
        "create",
        GRANT,
        "g",
        None,
        {"role": "x", "schema": "vex", "objectType": "table", "objects": ["vex_raw"], "privileges": ["UPDATE"]},
    )
    assert rules(grant, _migrations(["vex_raw"], ["vex_raw"])) == ["evidence-triggers"]


def test_no_setting_that_is_declared_without_being_secret_is_taken_for_a_secret() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    names = {
        key if ":" in key else f"stellaops-storage:{key}" for key, item in declared.items() if not item.get("secret")
    }
    assert not plain_secrets(dict.fromkeys(names, "value"))


def test_a_secret_in_clear_breaks_a_rule_and_a_masked_one_does_not() -> None:
    assert rules(config={"stellaops-storage:objectStoreSecretKey": "clear"}) == ["no-plain-secret"]
    assert (
        rules(config={"stellaops-storage:objectStoreSecretKey": "[secret]", "stellaops-storage:postgresHost": "db"})
        == []
    )


def test_violations_of_another_policy_pack_are_shown_and_its_advice_blocks_nothing() -> None:
    def said(level: str) -> dict[str, object]:
        return {
            "policyEvent": {
                "policyPackName": "house",
                "policyName": "tags",
                "message": "no owner",
                "enforcementLevel": level,
            }
        }

    found = verdict(said("advisory"))
    assert found.violations[0].rule == "house/tags" and not found.blocked
    assert verdict(said("mandatory")).blocked


DROP = event("delete", SCHEMA, "vex", {"name": "vex"})


@pytest.mark.parametrize(
    ("labels", "blocked"),
    [
        ([], True),
        (["approve-data-loss: postgres/vex"], False),
        (["Approve-Data-Loss:postgres/vex"], False),
        (["approve: postgres/vex"], True),
        (["approve-data-loss: vex"], True),
        (["approve-data-loss: objects/vex"], True),
        ([json.dumps(["bug", "approve-data-loss: postgres/vex"])], False),
        (["approve-data-loss: postgres/vuln"], True),
        (["approve-data-loss"], True),
        (["approve-data-loss: *"], True),
        (["approve-data-loss: postgres/vex.vex_raw"], True),
        (["approve-access-widened: postgres/vex"], True),
        (["[not JSON"], True),
        (["[1, null]"], True),
    ],
)
def test_only_a_label_that_names_the_resource_approves(labels: list[str], blocked: bool) -> None:
    assert verdict(DROP, labels=labels).blocked is blocked


def test_each_resource_of_each_store_and_risk_has_a_label_of_its_own_that_github_takes() -> None:
    names = ["vex", "a" * 30, "a" * 63, "a" * 62 + "b", "effective_finding_{policyId}_history.some_long_column_name"]
    changes = [RatedChange(risk, store, "x", "y", name) for risk in Risk for store in STORES for name in names]
    labels = [label(change) for change in changes]
    assert len(set(labels)) == len(changes) and max(map(len, labels)) <= 50
    for change, text in zip(changes, labels, strict=True):
        assert Approvals.read([text]).covers(change)


GRANTED = event(
    "create",
    GRANT,
    "g",
    None,
    {"role": "m", "schema": "vuln", "objectType": "table", "objects": ["t"], "privileges": ["SELECT"]},
)


def test_a_stricter_threshold_asks_for_more_labels() -> None:
    assert not verdict(GRANTED).blocked
    assert verdict(GRANTED, threshold=Risk.ACCESS_WIDENED).blocked
    assert not verdict(GRANTED, threshold=Risk.ACCESS_WIDENED, labels=["approve-access-widened: postgres/m"]).blocked


def test_the_threshold_stands_in_the_stacks_config() -> None:
    assert threshold(preview(GRANTED), None) == Risk.DATA_LOSS
    assert (
        threshold(preview(GRANTED, config={"stellaops-storage:reviewThreshold": "access-widened"}), None)
        == Risk.ACCESS_WIDENED
    )
    with pytest.raises(ValueError, match="'everything' is not a risk class; choose one of data-loss, access-widened"):
        threshold(preview(GRANTED, config={"stellaops-storage:reviewThreshold": "everything"}), None)


@pytest.mark.parametrize(
    "secret",
    [
        "SCRAM-SHA-256$4096:Zm9v$YmFy:YmF6", "md5" + "0a" * 16, "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "q7Gk2Jx9mWc4Vb1Nz8Ls5Rt3Yp6Df0Hg-QeAuIoTkMw", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "AKIAIOSFODNN7EXAMPLE",
        "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----", "ghp_0123456789abcdefghij0123456789abcdef",
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_masked(secret: str) -> None:
    assert mask(f"before {secret} after") == "before [masked] after"


@pytest.mark.parametrize(
    "text",
    [
        "0001_tables.sql.j2 sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "[secret]", "schema-mapping.yaml:57",
        "rules.expire-noncurrent-versions.NoncurrentVersionExpiration.NoncurrentDays: 30", "password: [secret]",
        "spec.volumeClaimTemplates[0].spec.resources.requests.storage", "components/postgres/migrations_resource.py",
        "urn:pulumi:dev::stellaops-storage::stellaops:postgres:Postgres$postgresql:index/role:Role::policy_owner",
    ],
)  # fmt: skip
def test_names_and_checksums_are_not(text: str) -> None:
    assert mask(text) == text


def test_a_password_in_an_address_is_masked_and_the_address_stays() -> None:
    assert mask("postgresql://admin:hunter2@db:5432/x") == "postgresql://[masked]@db:5432/x"


WHERE = contract.Endpoints(
    postgres=contract.PostgresEndpoint(host="db", port=5432, database="stellaops", sslmode="verify-full"),
    valkey=contract.ValkeyEndpoint(host="cache", port=6379, tls=False),
    object_store=contract.ObjectStoreEndpoint(endpoint="https://s3", region="us-east-1"),
)
DOCUMENT = contract.build(load(ROOT / "schema-mapping.yaml"), WHERE, "").model_dump(mode="json")


def document() -> dict[str, object]:
    return json.loads(json.dumps(DOCUMENT))  # type: ignore[no-any-return]


def test_a_contract_is_no_different_from_itself_in_another_order() -> None:
    other = document()
    other["modules"] = dict(reversed(list(other["modules"].items())))  # type: ignore[attr-defined]
    other["modules"]["scanner"]["valkey"]["keys"].reverse()  # type: ignore[index]
    assert not compare(DOCUMENT, other)


def test_fields_that_come_go_or_change_their_type_are_told() -> None:
    new = document()
    module = new["modules"]["scanner"]  # type: ignore[index]
    del module["postgres"]["role"]
    module["postgres"]["login"] = "scanner"
    new["endpoints"]["postgres"]["port"] = "5432"  # type: ignore[index]
    new["endpoints"]["valkey"]["host"] = "other"  # type: ignore[index]
    found = compare(DOCUMENT, new)
    assert found.removed == ("modules.scanner.postgres.role",) and found.added == ("modules.scanner.postgres.login",)
    assert found.retyped == ("endpoints.postgres.port: number becomes string",)
    assert found.changed == ("endpoints.valkey.host: cache becomes other",)


def test_another_bucket_is_no_other_form_of_the_contract() -> None:
    new = document()
    layout = new["layout"]
    layout["reports"] = {"bucket": "reports", "templates": [], "content_types": {".pdf": "application/pdf"}}  # type: ignore[index]
    assert not compare(DOCUMENT, new).problem and not compare(new, DOCUMENT).problem


def test_what_may_be_there_or_not_is_added_and_removed_not_retyped() -> None:
    sentinel = {"host": "cache", "port": 26379, "primary": "stellaops"}
    old, new = ({"endpoints": {"valkey": {"sentinel": value}}} for value in (None, sentinel))
    assert compare(old, new).added == compare(new, old).removed == ("endpoints.valkey.sentinel",)
    assert not compare(old, new).retyped


def _without_field(new: dict[str, object], version: str) -> dict[str, object]:
    new["version"] = version
    for module in new["modules"].values():  # type: ignore[attr-defined]
        if module["postgres"]:
            del module["postgres"]["functions"]
    return new


def _with_field(new: dict[str, object], version: str) -> dict[str, object]:
    new["version"] = version
    for module in new["modules"].values():  # type: ignore[attr-defined]
        module["purpose"] = "x"
    return new


@pytest.mark.parametrize(
    ("new", "problem"),
    [
        (_without_field(document(), "1.1"), "removed or retyped, so the version must be 2.0, not 1.1"),
        (_without_field(document(), "2.0"), ""),
        (_with_field(document(), "1.0"), "added, so the version must be 1.1, not 1.0"),
        (_with_field(document(), "1.1"), ""),
    ],
)
def test_the_version_must_tell_services_what_happens(new: dict[str, object], problem: str) -> None:
    found = compare({**DOCUMENT, "version": "1.0"}, new)
    assert found.problem.endswith(problem) and bool(found.problem) == bool(problem)


def test_a_module_that_goes_is_no_change_of_the_contracts_form() -> None:
    new = document()
    del new["modules"]["symbols"]  # type: ignore[attr-defined]
    found = compare(DOCUMENT, new)
    assert found.removed == ("modules.symbols",) and not found.problem


def test_the_review_imports_nothing_of_the_local_stack() -> None:
    for path in Path(ROOT / "tools" / "review").rglob("*.py"):
        assert "from local" not in path.read_text() and "import local" not in path.read_text(), path


def test_members_of_a_list_with_the_same_title_are_all_compared() -> None:
    def uses(*verbs: str) -> dict[str, object]:
        return {"uses": [{"bucket": "blobs", "prefix": "a/", "condition": verb} for verb in verbs]}

    assert not compare(uses("x", "y"), uses("y", "x"))
    assert compare(uses("x", "y"), uses("y")).removed == ("uses.[blobs a/]",)
    assert compare(uses("x"), uses("x", "y")).added == ("uses.[blobs a/]",)
    assert compare(uses("x", "y"), uses("z", "y")).changed == ("uses.[blobs a/].condition: x becomes z",)
