"""A ``destroy`` that failed half-way names what is in the way, and the next ``up`` makes the stack whole again."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults import stores
from tests.faults.conftest import SmallStack, clear

OTHER_DATABASE = "of_somebody_else"
# What somebody made in another database, which holds a role of the stack; by the role that then can't be dropped.
HOLDS = {
    "signer": "CREATE TABLE reports (id int); GRANT SELECT ON reports TO signer",
    "scanner_owner": "CREATE SCHEMA reports AUTHORIZATION scanner_owner",
    "scanner_reader": "CREATE TABLE reports (id int); GRANT SELECT ON reports TO scanner_reader",
}


@contextmanager
def held(stack: SmallStack, role: str) -> Iterator[None]:
    """Give the role something in another database, where the stack can't remove it."""
    with stack.admin("postgres") as connection:
        connection.execute(f"CREATE DATABASE {OTHER_DATABASE}".encode())
    with stack.admin(OTHER_DATABASE) as connection:
        connection.execute(HOLDS[role].encode())
    try:
        yield
    finally:
        with stack.admin("postgres") as connection:
            connection.execute(f"DROP DATABASE {OTHER_DATABASE}".encode())


@pytest.mark.parametrize("role", HOLDS)
def test_up_makes_the_stack_whole_after_a_destroy_that_failed_at_a_role(small_stack: SmallStack, role: str) -> None:
    small_stack.whole()
    before = stores.contents(small_stack)
    with held(small_stack, role):
        said = clear(small_stack.run("destroy", "--yes"))
        assert role in said and OTHER_DATABASE in said, f"it must name what is in the way:\n{said}"
        small_stack.whole()
        small_stack.at_rest()
    difference = stores.differences(before, stores.contents(small_stack))
    assert not difference, f"the stores are not as before destroy:\n{difference}"


def test_up_makes_the_stack_whole_after_a_destroy_that_failed_at_a_bucket(small_stack: SmallStack) -> None:
    """A legal hold keeps a version, and with it the bucket, until somebody removes it."""
    small_stack.whole()
    before = stores.contents(small_stack)
    s3, bucket = small_stack.s3(), small_stack.bucket_prefix + "evidence"
    version = s3.put_object(Bucket=bucket, Key="bundle-1/manifest.json", Body=b"x")["VersionId"]
    s3.put_object_legal_hold(Bucket=bucket, Key="bundle-1/manifest.json", VersionId=version, LegalHold={"Status": "ON"})
    said = clear(small_stack.run("destroy", "--yes"))
    assert bucket in said, f"it must name the bucket that is in the way:\n{said}"
    small_stack.whole()
    small_stack.at_rest()
    difference = stores.differences(before, stores.contents(small_stack))
    assert not difference, f"the stores are not as before destroy:\n{difference}"
    s3.put_object_legal_hold(
        Bucket=bucket, Key="bundle-1/manifest.json", VersionId=version, LegalHold={"Status": "OFF"}
    )
    small_stack.must("destroy", "--yes")
    small_stack.whole()
