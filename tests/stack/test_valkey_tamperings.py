"""After many manual changes of Valkey at once, the printed remedies and one ``up --refresh`` leave no drift."""

from collections.abc import Iterator
from typing import Any

import pytest
from valkey import Valkey

from tests.support.operated import stack_of
from tests.support.stack import LocalStack
from tests.support.valkey_remedies import run_remedy
from tests.support.valkey_tamperings import STREAMS, USERS, make
from tools.operations import drift_valkey

pytestmark = pytest.mark.xdist_group("live_stack")
# It adds to the stream that another tampering replaces by a list.
LEFT_OUT = {"entries were trimmed before a group read them"}


@pytest.fixture
def admin(live_stack: LocalStack) -> Iterator[Any]:
    """The admin, with replies as bytes."""
    config = live_stack.config
    with Valkey(
        host=config["valkeyHost"], port=int(config["valkeyPort"]), username=config["valkeyAdminUser"],
        password=config["valkeyAdminPassword"],
    ) as client:  # fmt: skip
        yield client


def test_up_reverts_what_it_owns_and_printed_commands_the_rest(live_stack: LocalStack, admin: Any) -> None:
    stack, users = stack_of(live_stack), set(admin.acl_users())
    assert drift_valkey.check(stack) == []
    cases = [case for case in (*USERS, *STREAMS) if case.name not in LEFT_OUT]
    for case in cases:
        make(admin, case)
    found = drift_valkey.check(stack)
    for case in cases:
        assert any(all(word.lower() in item.sentence.lower() for word in case.names) for item in found), case.name
    by_up = [item for item in found if not item.difference.remedy]
    for item in found:
        if item.difference.remedy:
            run_remedy(admin, stack, item.difference.remedy)
    assert len(by_up) >= 15, "too little is left to up"
    live_stack.must("up", "--refresh")
    assert drift_valkey.check(stack) == []
    # The local stack has no health probe.
    admin.acl_deluser(*set(admin.acl_users()) - users)
    admin.acl_save()
