"""No command leaks a secret; every process is recorded from before the first command, on real servers.

Secrets are the passwords and keys that the stack generates (before and after a rotation), those of the servers' admins,
and the passphrase. The search covers plain text, JSON, URLs, hex and base64.
"""

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import reserved
from tests.faults.secrets_search import SHORTEST, Secrets, Watcher, of_deployment
from tests.support.stack import LocalStack
from tools.local.paths import State
from tools.local.servers.postgres import LocalPostgres

pytestmark = pytest.mark.xdist_group("reserved words")

ADMINS = ("postgresAdminPassword", "valkeyAdminPassword", "objectStoreSecretKey")

# Private files below the state directory that may contain secrets.
HOLDERS = {
    r"passphrase": "what everything else is encrypted with",
    r"servers/\w+/password": "the admin of a server that we started",
    r"rendered/.*secret.*\.yaml": "manifests of Kubernetes Secrets, as they are applied",
    r"servers/objects/data[\w-]*/\.minio\.sys/(config/iam|tmp)/.*": "the object store's own users, and what it just replaced of them",
}

# Program -> the variable that contains a secret, and prefixes of the names of allowed secrets; no other way exists. The
# engine passes the stack's config to the program in this way. PostgreSQL's programs accept no password on a command
# line, and programs that their scripts call inherit the variable. MinIO reads no file.
ENVIRONMENTS = {
    r"^\S*minio server": ("MINIO_ROOT_PASSWORD", ("objectStore",)),
    r"pulumi-language-python-exec": ("PULUMI_CONFIG", ADMINS),
    r"^(psql|pg_dump|sh( -c sh)? \S*dump(_schemas)?\.sh|(rm|rmdir|wc|mv|sleep) )": (
        "PGPASSWORD",
        ("first backup-agent", "second backup-agent"),
    ),
    # The same programs by their paths, in backups and restores of other tests of this stack. Restores run as the admin.
    r"^\S*/bin/(pg_\w+|psql|sh) ": (
        "PGPASSWORD",
        ("first backup-agent", "second backup-agent", "postgresAdminPassword"),
    ),
}


@dataclass(frozen=True)
class Run:
    """All commands with their output, and the secrets at that time."""

    stack: LocalStack
    watcher: Watcher
    secrets: Secrets
    said: dict[str, str]
    env: str
    began: Path


def admins(stack: LocalStack) -> dict[str, str]:
    stack.forget()
    found = {name: stack.config[name] for name in ADMINS}
    return {**found, "passphrase": (stack.state / "passphrase").read_text()}


def generated(stack: LocalStack, generation: str) -> dict[str, str]:
    exported = json.loads(stack.must("pulumi", "stack", "export", "--show-secrets"))
    return of_deployment(exported, generation)


@pytest.fixture(scope="module")
def everything(reserved_stack: reserved.Reserved) -> Run:
    stack = reserved_stack.stack
    known = {**admins(stack), **generated(stack, "first")}
    said = {"first up": reserved_stack.said}

    def do(*words: str) -> None:
        result = stack.run(*words)
        said[" ".join(words)] = f"{result.stdout}\n{result.stderr}"

    mapping = stack.project / "schema-mapping.yaml"
    migration = stack.project / "sql" / "user" / "0002_broken.sql.j2"
    good = mapping.read_text()
    try:
        rotated = re.sub(r"^( {4}purpose: .*)$", r"\1\n    rotate: 2", good, count=4, flags=re.MULTILINE)
        mapping.write_text(rotated.replace("\nbackups:\n", "\nbackups:\n  rotate: 2\n"))
        do("preview", "--diff")
        do("review")
        migration.write_text("SELECT no_such_function();\n")
        do("up")
        said["failing up"] = said.pop("up")
        migration.unlink()
        do("up")
        first = set(known.values())
        known |= {name: secret for name, secret in generated(stack, "second").items() if secret not in first}
        commands: tuple[tuple[str, ...], ...] = (
            ("drift", "--json"), ("backup",), ("pulumi", "stack", "output", "--json"),
            ("pulumi", "stack", "export"),
        )  # fmt: skip
        for words in commands:
            do(*words)
        env = stack.must("env", "select")
    finally:
        migration.unlink(missing_ok=True)
    stack.forget()
    return Run(stack, reserved_stack.watcher, Secrets(known), said, env, reserved_stack.began)


def test_the_secrets_are_those_that_there_are(everything: Run) -> None:
    known = everything.secrets.known
    assert all(len(secret) >= SHORTEST for secret in known.values()), "a short one would be found anywhere"
    assert len(set(known.values())) == len(known), "two share one"
    for name in ("first select Credential.postgresPassword", "second select Credential.valkeyPassword",
                 "first select User.secretKey", "second backup-agent Credential.postgresPassword"):  # fmt: skip
        assert name in known, sorted(known)
    assert "failed" in everything.said["failing up"], everything.said["failing up"]


def test_no_command_prints_one(everything: Run) -> None:
    for command, said in everything.said.items():
        assert not everything.secrets.in_text(said), f"`{command}` prints {everything.secrets.in_text(said)}"


def test_env_prints_those_of_the_module_that_was_asked_for_and_no_other(everything: Run) -> None:
    found = everything.secrets.in_text(everything.env)
    assert found and all(name.startswith("second select ") for name in found), found


def test_no_file_has_one_in_clear_but_those_that_are_there_for_it_and_private(everything: Run) -> None:
    state = everything.stack.state
    home = LocalPostgres(State(state).servers / LocalPostgres.name).home
    assert state.stat().st_mode & 0o777 == 0o700
    found = everything.secrets.in_files(everything.stack.project, home)
    places = [str(path.relative_to(state)) for path in found if path.is_relative_to(state)]
    unseen = [holder for holder in HOLDERS if not any(re.fullmatch(holder, place) for place in places)]
    assert not unseen, "the search does not find what is there, or nothing is there any more"
    for path, names in found.items():
        place = str(path.relative_to(state)) if path.is_relative_to(state) else str(path)
        assert any(re.fullmatch(holder, place) for holder in HOLDERS), f"{place} has {names}"
        assert path.stat().st_mode & 0o077 == 0, f"{place} has {names}, and others may read it"


def test_nothing_is_left_in_temporary_directories(everything: Run) -> None:
    found = everything.secrets.in_files(Path("/tmp"), Path("/var/tmp"), newer_than=everything.began)
    home = LocalPostgres(State(everything.stack.state).servers / LocalPostgres.name).home
    left = [
        path for path in found if not path.is_relative_to(everything.stack.project) and not path.is_relative_to(home)
    ]
    assert not left, left


def test_no_command_line_of_any_process_had_one(everything: Run) -> None:
    assert len(everything.watcher.seen) > 20, "it saw nothing"
    found = everything.watcher.command_lines(everything.secrets)
    assert not found, found


def test_no_process_had_one_in_its_environment_but_those_that_have_no_other_way(everything: Run) -> None:
    for line, variable, names in everything.watcher.environments(everything.secrets):
        allowed = [
            whose for program, (name, whose) in ENVIRONMENTS.items() if re.search(program, line) and name == variable
        ]
        assert allowed and all(name.startswith(allowed[0]) for name in names), f"{line} has {names} in {variable}"


@pytest.mark.parametrize("form", range(8))
def test_a_secret_that_was_planted_is_found(form: int, tmp_path: Path) -> None:
    import base64
    from urllib.parse import quote

    secret = "p+l/a&n t=e%d" * 2
    texts = (
        secret, json.dumps({"x": secret}), quote(secret), secret.encode().hex(), base64.b64encode(secret.encode()).decode(),
        base64.b64encode(f"u:{secret}@h".encode()).decode(), base64.b64encode(f"user:{secret}".encode()).decode(),
        base64.urlsafe_b64encode(f"x{secret}".encode()).decode(),
    )  # fmt: skip
    secrets = Secrets({"planted": secret})
    (tmp_path / "deep").mkdir()
    file = tmp_path / "deep" / "log"
    file.write_bytes(b"\0before " + texts[form].encode() + b" after\xff")
    assert secrets.in_files(tmp_path) == {file: ["planted"]}
    assert secrets.in_text(f"before {texts[form]} after") == ["planted"]
    assert not Secrets({"other": "something else"}).in_files(tmp_path)


def test_a_secret_that_a_process_shows_is_found() -> None:
    secret = "planted-in-a-process"
    watcher = Watcher()
    with subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)", secret], env={"PLANTED": secret}
    ) as process:
        try:
            for _ in range(100):
                watcher.look()
                if watcher.command_lines(Secrets({"planted": secret})):
                    break
                time.sleep(0.02)
        finally:
            process.kill()
    assert [names for _, names in watcher.command_lines(Secrets({"planted": secret}))] == [["planted"]]
    assert [(variable, names) for _, variable, names in watcher.environments(Secrets({"planted": secret}))] == [
        ("PLANTED", ["planted"])
    ]
