"""``make preview`` of a one-line edit: short, about the edit alone, and without a trace on any server."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.faults import small
from tests.faults.conftest import SmallStack, small_stack

__all__ = ["small_stack"]

LONGEST = 60  # lines
pytestmark = pytest.mark.xdist_group("small_stack")

Mapping = dict[str, Any]
Edit = Callable[[Mapping], object]


def _module(mapping: Mapping, name: str) -> Mapping:
    module: Mapping = mapping["modules"][name]
    return module


def _scans(mapping: Mapping) -> Mapping:
    table: Mapping = mapping["postgres"]["schemas"]["scanner"]["tables"]["scans"]
    return table


# What is edited -> (the edit, what the preview must name).
EDITS: dict[str, tuple[Edit, str]] = {
    "a read of a table": (lambda m: _module(m, "signer")["postgres"]["reads"].append("scanner.scans"), "signer-scanner.scans"),
    "a read of columns": (
        lambda m: _module(m, "signer")["postgres"]["reads"].append("scanner.scans(scan_id)"), "signer-scanner.scans-select",
    ),
    "a read that goes": (lambda m: _module(m, "signer")["postgres"].update(reads=[]), "signer-authority"),
    "a table that is narrowed to columns": (
        lambda m: _module(m, "signer")["postgres"].update(reads=["authority.clients(client_id)"]), "signer-authority.clients",
    ),
    "a read of a whole schema": (lambda m: _module(m, "signer")["postgres"]["reads"].append("symbols"), "symbols_reader"),
    "a connection limit": (lambda m: _module(m, "scanner")["postgres"].update(connection_limit=7), "connectionLimit: 7"),
    "a default connection limit": (
        lambda m: m["postgres"]["defaults"].update(connection_limit=41), "connectionLimit: 41",
    ),
    "a timeout": (lambda m: _module(m, "scanner")["postgres"].update(statement_timeout="2m"), "statementTimeout: 120000"),
    "a rotation": (lambda m: _module(m, "scanner").update(rotate=2), "Credential scanner"),
    "append-only": (lambda m: _scans(m).update(append_only="scans are evidence"), "scans"),
    "an extension": (lambda m: m["postgres"].update(extensions=["citext"]), "Extension citext"),
    "a memory limit": (lambda m: m["valkey"]["memory"].update(maxmemory="3gb"), "maxmemory"),
    "an eviction policy": (lambda m: m["valkey"]["memory"].update(maxmemory_policy="noeviction"), "noeviction"),
    "a stream's consumer": (
        lambda m: m["valkey"]["streams"]["scanner:events"]["consumers"].append("authority"), "scanner:events",
    ),
    "a consumer that goes": (
        lambda m: m["valkey"]["streams"]["scanner:events"].update(consumers=["signer"]), "scanner:events",
    ),
    "a retention of objects": (lambda m: m["backups"]["rustfs"].update(retention="91d"), "91"),
    "an object lock": (lambda m: m["rustfs"]["buckets"]["evidence"]["object_lock"].update(retention="30d"), "days: 30"),
    "stale uploads": (lambda m: m["rustfs"].update(abort_multipart_after="2d"), "Bucket"),
    "a bucket that goes": (
        lambda m: (m["rustfs"]["buckets"].pop("images"), _module(m, "scanner")["rustfs"].update(owns=["blobs/"])), "images",
    ),
    "a read of objects": (lambda m: _module(m, "signer").update(rustfs={"reads": ["evidence/"]}), "User signer"),
}  # fmt: skip


@pytest.fixture
def stack(small_stack: SmallStack) -> Iterator[SmallStack]:
    small.write(small_stack.project, small.first())
    small_stack.whole()
    try:
        yield small_stack
    finally:
        small.write(small_stack.project, small.first())


def _servers(stack: SmallStack) -> dict[str, str]:
    directory = stack.state / "servers"
    return {str(file): file.read_text() for file in (*directory.glob("*/server.json"), *directory.glob("*/*.conf"))}


def test_the_preview_of_a_one_line_edit_is_short_and_names_it(stack: SmallStack) -> None:
    before, wrong = _servers(stack), []
    for name, (edit, named) in EDITS.items():
        mapping = small.first()
        edit(mapping)
        small.write(stack.project, mapping)
        result = stack.run("preview")
        shown = result.stdout + result.stderr
        if result.returncode or len(shown.splitlines()) > LONGEST or named not in shown:
            wrong.append(
                f"{name}: exit code {result.returncode}, {len(shown.splitlines())} lines, without {named!r}?\n{shown}"
            )
        if _servers(stack) != before:
            wrong.append(f"{name}: the preview changed a server")
    assert not wrong, "\n\n".join(wrong)
    small.write(stack.project, small.first())
    assert stack.must("preview").splitlines()[-1] == "no changes"


def test_the_engines_own_view_and_its_exit_code_remain(stack: SmallStack) -> None:
    assert stack.run("preview", "--expect-no-changes").returncode == 0
    mapping = small.first()
    _module(mapping, "scanner")["postgres"]["connection_limit"] = 7
    small.write(stack.project, mapping)
    assert "postgresql:index/role:Role: (update)" in stack.must("preview", "--diff")
    assert stack.run("preview", "--expect-no-changes").returncode != 0
