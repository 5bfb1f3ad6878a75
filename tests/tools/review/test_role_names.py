"""Roles are shown as what they are: a module may be called ``log_reader``, ``audit_writer`` or ``x_owner``."""

import pytest

from tests.tools.review.synthetic import event, only, sentences, verdict
from tools.review.risk import Risk
from tools.review.tokens import GRANT, INVENTORY, ROLE, SCHEMA

LOOKALIKES = ("log_reader", "audit_writer", "x_owner")
VEX = event("same", SCHEMA, "vex", {"name": "vex"}, {"name": "vex"})


def login(name: str, *roles: str) -> dict[str, object]:
    return {"name": name, "login": True, "roles": list(roles)}


@pytest.mark.parametrize("name", LOOKALIKES)
def test_a_grant_to_such_a_module_is_told_as_its_own(name: str) -> None:
    """Before and after the login itself is in the preview: the inventory lists it as well."""
    new = {"role": name, "schema": "vuln", "objectType": "table", "objects": ["linksets"], "privileges": ["SELECT"]}
    inventory = {"logins": {name: name}, "schemas": {"vuln": "kept"}}
    for known in (
        event("same", ROLE, name, login(name), login(name)),
        event("same", INVENTORY, "postgres", inventory, inventory),
    ):
        told = only(known, event("create", GRANT, f"{name}-vuln.linksets", None, new))
        assert told == (Risk.ACCESS_WIDENED, f"`{name}` gains SELECT on `vuln.linksets`")


@pytest.mark.parametrize("name", LOOKALIKES)
def test_dropping_such_a_module_is_no_loss_of_data(name: str) -> None:
    risk, sentence = only(event("delete", ROLE, name, login(name)))
    assert risk == Risk.ACCESS_REVOKED and sentence.startswith(f"login `{name}` is dropped")


def test_members_of_a_group_role_are_told_by_schema_and_members_of_another_role_are_not() -> None:
    found = sentences(
        verdict(
            VEX, event("update", ROLE, "log_reader", login("log_reader"), login("log_reader", "vex_reader", "x_owner"))
        )
    )
    assert {sentence for _, sentence in found} == {
        "`log_reader` gains SELECT on all tables of `vex` (as a member of `vex_reader`)",
        "`log_reader` gains membership in `x_owner`",
    }


def test_the_group_role_of_a_schema_that_only_the_preview_has_is_told_by_its_members() -> None:
    """Schema ``log`` is not in the mapping any more, so that the preview alone tells what ``log_reader`` is."""
    schema = event("same", SCHEMA, "log", {"name": "log"}, {"name": "log"})
    member = event("same", ROLE, "scanner", login("scanner", "log_reader"), login("scanner", "log_reader"))
    new = {"role": "log_reader", "schema": "log", "objectType": "table", "objects": ["a"], "privileges": ["SELECT"]}
    risk, sentence = only(schema, member, event("create", GRANT, "log_reader-read", None, new))
    assert (risk, sentence) == (Risk.ACCESS_WIDENED, "`scanner` (through `log_reader`) gains SELECT on `log.a`")


def test_dropping_a_role_of_which_nothing_is_known_may_lose_what_it_owns() -> None:
    risk, sentence = only(event("delete", ROLE, "stranger", {"name": "stranger", "login": False}))
    assert (risk, sentence) == (Risk.DATA_LOSS, "role `stranger` is dropped; objects that it owns may be lost")


def test_only_owners_of_schemas_must_be_protected_on_prod() -> None:
    owner = event("same", ROLE, "vex_owner", {"name": "vex_owner"}, {"name": "vex_owner"})
    found = verdict(VEX, owner, event("same", ROLE, "x_owner", login("x_owner"), login("x_owner")))
    found.context.preview.stack = "prod"
    messages = [item.message for item in found.violations if item.rule == "protected-owners"]
    assert messages == ["not protected against deletion: vex_owner; set stellaops-storage:protect to true"]
