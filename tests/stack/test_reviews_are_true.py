"""Each sentence of a review is what ``up`` then does, and ``up`` changes nothing that no sentence announces.

The edits of the recorded previews are made on a real stack: ``review``, ``up``, and all facts of the servers before and
after are compared with the sentences (``tests/support/claims``). Edits that do not touch each other are made together.
``STELLAOPS_REVIEWS`` chooses how many: ``some`` runs the first rows of ``ROWS`` (four minutes), ``all`` runs every row (ten
minutes), ``alone`` makes each edit alone (half an hour).
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg import sql

from tests.stack.test_access_matrix import STATEMENTS, refused
from tests.support import live_facts
from tests.support.claims import Claims
from tests.support.live_facts import Facts
from tests.support.stack import LocalStack, copy_project, temporary_stack
from tests.support.valkey_commands import COMMANDS
from tests.support.watchdog import Watchdog
from tests.tools.review.cases import BASES, CASES
from tools.local.paths import State

pytestmark = pytest.mark.xdist_group("reviews_are_true")

CHOSEN = os.environ.get("STELLAOPS_REVIEWS", "")
MAPPING = "schema-mapping.yaml"
# The recorded edits that are made together. Each row is compared with the row before it, so the end of each edit counts
# as one, too. Rows whose stack keeps its data come last.
ROWS: tuple[tuple[str, ...], ...] = (
    (
        "read-added", "read-removed", "read-of-schema-added", "column-read-widened", "write-added", "module-added",
        "append-only-added", "limits-lowered", "retention-shortened", "uploads-kept-longer", "memory-raised",
        "key-read-added", "key-write-removed", "consumer-added", "ttl-shortened", "stream-trimmed-earlier",
        "password-renewed", "bucket-added", "lock-shortened", "objects-moved", "table-added", "migration-added",
    ),
    (
        "module-removed", "schema-removed", "append-only-removed", "retention-lengthened", "memory-lowered",
        "stream-nodes-larger", "no-append-only-file", "stream-removed", "bucket-removed", "contract-objects-moved",
        "migration-drops-column", "schema-added",
    ),
    ("many-at-once", "object-lock-removed", "objects-read-added", "objects-write-removed", "contract-objects-off"),
    (
        "replicas-added", "image-raised", "exporter-added", "namespaces-named", "node-passwords-renewed",
        "trimmed-at-another-time", "secret-in-clear",
    ),
    ("changed-by-hand",),
    ("tenants-kept-apart", "data-loss-forbidden", "schemas-no-longer-named", "lock-compliance"),
    ("bypass-added", "schema-kept", "stream-removed-guarded", "bucket-removed-guarded"),
    ("bypass-removed", "schema-named"),
    ("tenants-no-longer-kept-apart", "protected"),
    ("protection-removed",),
)  # fmt: skip
SOME = 3  # rows
# Edits that a preview refuses: ``up`` must refuse them as well, and change nothing.
REFUSED = ("schema-named-too-late", "schema-removed-protected", "migration-edited")
SKIPPED = {
    "unchanged": "nothing is edited",
    "unchanged-plain": "nothing is edited",
    "read-added-plain": "the edit of read-added",
    "first": "the first up of the stack, in a test of its own",
    "tls-on": "the local Valkey has no certificate, so that a provider with TLS cannot reach it",
    "server-moved": "make up determines the addresses of its own servers",
    "threshold-unknown": "an invalid config value: no preview and no up",
    "mapping-broken": "an invalid mapping: test_edited_mapping",
    "mapping-broken-plain": "an invalid mapping: test_edited_mapping",
}
# Migrations cannot be reverted, so these edits stay until the end.
LASTING = ("table-added", "migration-added", "migration-drops-column")


class Replay:
    """A stack in a copy of the project. ``facts`` are those after the last ``up``."""

    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack
        self.facts: Facts = {}
        self.first: list[str] = []
        self._lasting: list[str] = []
        self._mapping = (stack.project / MAPPING).read_text()
        self._config: dict[str, Any] = {}

    def begin(self) -> None:
        """Bring the stack up for the first time; ``first`` are the differences to its review."""
        self.stack.must("up", "--servers-only")
        self.stack.run("preview")  # creates the engine's stack and its config
        self._config = yaml.safe_load(self._config_file.read_text())["config"]
        self.facts = live_facts.read(self.stack)
        self.first = self._compared(self._review())

    @property
    def _config_file(self) -> Path:
        return State(self.stack.state).config

    def edit(self, names: tuple[str, ...]) -> None:
        """Make the recorded edits, and end those before them."""
        mapping: dict[str, Any] = yaml.safe_load(self._mapping)
        shutil.rmtree(self.stack.project / "sql" / "reports", ignore_errors=True)
        settings: dict[str, Any] = dict(BASES[CASES[names[0]].base])
        for name in (*self._lasting, *names):
            CASES[name].mapping(mapping)
        for name in names:
            settings |= CASES[name].config
            CASES[name].files(self.stack.project)
            if name in LASTING:
                self._lasting.append(name)
        (self.stack.project / MAPPING).write_text(yaml.safe_dump(mapping, sort_keys=False, width=200))
        document = yaml.safe_load(self._config_file.read_text())
        qualified = {key if ":" in key else f"stellaops-storage:{key}": value for key, value in settings.items()}
        document["config"] = {**self._config, **qualified}
        self._config_file.write_text(yaml.safe_dump(document))
        self._by_hand("; ".join(CASES[name].sql for name in names if CASES[name].sql))

    def _by_hand(self, statements: str) -> None:
        if statements:
            with self.stack.admin() as connection:
                connection.execute(statements.encode())
            self.stack.must("refresh")

    def compare(self, names: tuple[str, ...]) -> list[str]:
        """Make the edits, review them, run ``up``, and return every difference between what was announced and done."""
        self.fill()
        self.edit(names)
        with self.sessions():
            self.facts = live_facts.read(self.stack)
            return self._compared(self._review())

    def _compared(self, report: dict[str, Any]) -> list[str]:
        assert not report["failed"], report["errors"]
        sentences = [change["sentence"] for change in report["changes"]]
        wrong = list(self._refusals(sentences))
        self.stack.must("up")
        before, self.facts = self.facts, live_facts.read(self.stack)
        return [*wrong, *Claims(before, self.facts).check(sentences), *self.tried(before)]

    def _review(self) -> dict[str, Any]:
        file = self.stack.state / "report.json"
        file.unlink(missing_ok=True)
        result = self.stack.run("review", "--json", str(file))
        assert file.exists(), result.stdout + result.stderr
        [report] = json.loads(file.read_text())["stacks"]
        return dict(report)

    def fill(self) -> None:
        """Put an entry into every stream and an object into every bucket."""
        with self.stack.valkey_admin() as valkey:
            for key in [str(key) for key in valkey.scan_iter(_type="stream")]:
                if not valkey.xlen(key):
                    valkey.xadd(key, {"filled": "by the test"})
        s3 = self.stack.s3()
        for fact in self.facts:
            if fact[0] == "bucket" and ("objects", fact[1]) not in self.facts:
                s3.put_object(Bucket=self.stack.bucket_prefix + fact[1], Key="filled", Body=b"by the test")

    @contextmanager
    def sessions(self) -> Iterator[None]:
        """Hold a session of each login: ``up`` ends only those that a sentence names."""
        logins = [name for name, values in self.stack.outputs["secrets"].items() if "postgres_password" in values]
        with ExitStack() as held:
            for login in logins:
                connection = held.enter_context(self.stack.login(login))
                connection.execute(sql.SQL("SET application_name = {}").format(live_facts.HELD))
            yield

    def _refusals(self, sentences: list[str]) -> Iterator[str]:
        """For "refused while it has objects": ``up`` fails and deletes nothing. Afterwards the objects are removed."""
        refused_names = [name.split("`")[1] for name in sentences if "(refused while it has" in name]
        if not refused_names:
            return
        result = self.stack.run("up")
        if result.returncode == 0:
            yield f"up deleted {refused_names} with what was in them"
        left = live_facts.read(self.stack)
        for name in refused_names:
            if left.get(("stream", name)) != "entries" and ("objects", name) not in left:
                yield f"{name} was deleted, or emptied"
        with self.stack.valkey_admin() as valkey:
            for name in refused_names:
                if ("stream", name) in left:
                    valkey.xtrim(name, maxlen=0, approximate=False)
        s3 = self.stack.s3()
        for name in refused_names:
            if ("bucket", name) in left:
                physical = self.stack.bucket_prefix + name
                for version in s3.list_object_versions(Bucket=physical).get("Versions", ()):
                    s3.delete_object(Bucket=physical, Key=version["Key"], VersionId=version["VersionId"])

    def changed_by_refused(self) -> list[live_facts.Fact]:
        """Try edits that a preview refuses; return what they changed."""
        for name in REFUSED:
            shutil.copytree(self.stack.project / "sql", self.stack.project / "sql.kept")
            self.edit((name,))
            assert self._review()["failed"], name
            assert self.stack.run("up").returncode != 0, name
            shutil.rmtree(self.stack.project / "sql")
            (self.stack.project / "sql.kept").rename(self.stack.project / "sql")
        now = live_facts.read(self.stack)
        return sorted(fact for fact in self.facts.keys() | now.keys() if self.facts.get(fact) != now.get(fact))

    def tried(self, before: Facts) -> Iterator[str]:
        """Try each permission that changed, as the login or the user that has or lacks it now."""
        changed = {fact for fact in before.keys() ^ self.facts.keys() if fact[0] in ("privilege", "rule")}
        logins = {fact[1] for fact in self.facts if fact[0] == "session"}
        tables = {fact[1] for fact in self.facts if fact[0] == "table"}
        for login in sorted({fact[1] for fact in changed if fact[0] == "privilege"} & logins):
            with self.stack.login(login) as connection:
                for _, _, table, privilege in sorted(fact for fact in changed if fact[:2] == ("privilege", login)):
                    if table in tables and privilege in STATEMENTS:
                        yield from self._tried_on_table(connection, login, table, privilege)
        yield from self._tried_commands({fact for fact in changed if fact[0] == "rule"})

    def _tried_on_table(
        self, connection: "psycopg.Connection[Any]", login: str, table: str, privilege: str
    ) -> Iterator[str]:
        column = next(fact[2] for fact in self.facts if fact[:2] == ("column", table))
        statement = sql.SQL(STATEMENTS[privilege]).format(
            table=sql.Identifier(*table.split(".")), column=sql.Identifier(column)
        )
        allowed = not refused(connection, statement)
        if allowed != (("privilege", login, table, privilege) in self.facts):
            yield f"{login} {'may' if allowed else 'may not'} {privilege} {table}"

    def _tried_commands(self, changed: set[live_facts.Fact]) -> Iterator[str]:
        users = {fact[1] for fact in self.facts if fact[0] == "user"}
        with self.stack.valkey_admin() as valkey:
            for fact in sorted(changed):
                _, user, pattern, command = fact
                template = COMMANDS.get(command.removeprefix("+").upper())
                if user not in users or template is None or not pattern.startswith(("~", "%")):
                    continue
                key = pattern.partition("~")[2].replace("*", "any")
                answer = valkey.execute_command("ACL DRYRUN", user, *template.replace("{key}", key).split())
                if (answer == "OK") != (fact in self.facts):
                    yield f"{user} {'may' if answer == 'OK' else 'may not'} {command} on {key}"


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory, watchdog: Watchdog) -> Iterator[Replay]:
    directory = tmp_path_factory.mktemp("reviews")
    copy_project(directory / "project")
    with temporary_stack(directory / "state", watchdog, directory / "project") as stack:
        made = Replay(stack)
        made.begin()
        yield made


def test_every_recorded_edit_is_made_or_skipped_for_a_reason() -> None:
    made = [*(name for row in ROWS for name in row), *REFUSED, *SKIPPED]
    assert sorted(made) == sorted(CASES)


def rows() -> tuple[tuple[str, ...], ...]:
    if CHOSEN == "alone":
        return tuple((name,) for row in ROWS for name in row)
    return ROWS if CHOSEN == "all" else ROWS[:SOME]


chosen = pytest.mark.skipif(not CHOSEN, reason="takes minutes: set STELLAOPS_REVIEWS to some, all or alone")


@chosen
def test_the_review_of_a_new_stack_is_what_up_creates(replay: Replay) -> None:
    assert not replay.first, "\n".join(replay.first)


@chosen
@pytest.mark.parametrize("row", rows(), ids="+".join)
def test_a_review_announces_what_up_does_and_nothing_else(replay: Replay, row: tuple[str, ...]) -> None:
    wrong = replay.compare(row)
    assert not wrong, "\n".join(wrong)
    if "protected" in row:
        assert not replay.changed_by_refused(), "a refused edit changed something"
