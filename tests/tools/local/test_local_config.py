"""The stack's own config file: the user's values are kept, except those that the servers determine."""

from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from tools.local import config
from tools.local.errors import UserError
from tools.local.paths import ROOT, State, write_private
from tools.local.stack import Stack

SETTINGS: dict[str, str | int | bool] = {"postgresHost": "127.0.0.1", "postgresPort": 5432}
SECRETS = {"postgresAdminPassword": "swordfish"}


class FakeStack:
    """Encrypts by counting, so that each encryption is another text, as the engine's is."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.current_salt = "v1:salt"
        self.encrypted: list[str] = []

    def salt(self) -> str:
        return self.current_salt

    def set_secret(self, file: Path, key: str, value: str) -> None:
        self.encrypted.append(key)
        document = yaml.safe_load(file.read_text())
        document["config"][key] = {"secure": f"v1:{len(self.encrypted)}:{len(value)}"}
        file.write_text(yaml.safe_dump(document))


@pytest.fixture
def committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "committed.yaml"
    file.write_text(yaml.safe_dump({"config": {"stellaops-storage:backups": "continuous", "objectStore:x": True}}))
    monkeypatch.setattr(config, "COMMITTED", file)
    return file


@pytest.fixture
def stack(tmp_path: Path, committed: Path) -> FakeStack:
    state = State(tmp_path / "state")
    state.make()
    write_private(state.passphrase, "for tests")
    made = FakeStack(state)
    assert write(made).changed
    return made


def write(stack: FakeStack, **settings: str | int | bool) -> config.Written:
    return config.write(cast("Stack", stack), {**SETTINGS, **settings}, SECRETS)


def values(stack: FakeStack) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(stack.state.config.read_text())["config"]
    return found


def edit(stack: FakeStack, **changes: object) -> None:
    """As ``pulumi config set`` does; None is ``config rm``."""
    document = yaml.safe_load(stack.state.config.read_text())
    for key, value in changes.items():
        document["config"].pop(f"stellaops-storage:{key}", None)
        if value is not None:
            document["config"][f"stellaops-storage:{key}"] = value
    stack.state.config.write_text(yaml.safe_dump(document))


def test_a_second_run_writes_and_encrypts_nothing(stack: FakeStack) -> None:
    before = stack.state.config.stat().st_mtime_ns
    assert write(stack) == config.Written(changed=False)
    assert stack.state.config.stat().st_mtime_ns == before and len(stack.encrypted) == 1


def test_values_that_the_user_set_survive_a_server_that_moved(stack: FakeStack) -> None:
    edit(stack, backups="none", mapping="other.yaml", custom={"secure": "v1:own"})
    written = write(stack, postgresPort=6000)
    assert written.changed and not written.replaced
    found = values(stack)
    assert found["stellaops-storage:postgresPort"] == 6000
    assert found["stellaops-storage:backups"] == "none", "the next make up would undo a config set"
    assert found["stellaops-storage:mapping"] == "other.yaml" and found["stellaops-storage:custom"] == {
        "secure": "v1:own"
    }


def test_a_value_follows_the_committed_file_until_the_user_sets_it(stack: FakeStack, committed: Path) -> None:
    committed.write_text(yaml.safe_dump({"config": {"stellaops-storage:backups": "logical"}}))
    write(stack)
    found = values(stack)
    assert found["stellaops-storage:backups"] == "logical" and "objectStore:x" not in found
    edit(stack, backups="none")
    committed.write_text(yaml.safe_dump({"config": {"stellaops-storage:backups": "continuous"}}))
    write(stack)
    assert values(stack)["stellaops-storage:backups"] == "none"


def test_a_key_that_the_user_removed_stays_away(stack: FakeStack) -> None:
    edit(stack, backups=None)
    write(stack, postgresPort=6000)
    write(stack, postgresPort=6001)
    assert "stellaops-storage:backups" not in values(stack)


def test_a_value_that_the_servers_determine_is_reset_and_named(stack: FakeStack) -> None:
    edit(stack, postgresHost="elsewhere.example", postgresAdminPassword={"secure": "v1:another"})
    written = write(stack)
    assert written.replaced == ("stellaops-storage:postgresHost", "stellaops-storage:postgresAdminPassword")
    assert values(stack)["stellaops-storage:postgresHost"] == "127.0.0.1"
    assert len(stack.encrypted) == 2, "the engine would go on with the user's password"
    assert not write(stack).changed


def test_numbers_and_booleans_that_the_engine_rewrote_as_text_are_no_change(stack: FakeStack) -> None:
    edit(stack, postgresPort="5432")
    assert not write(stack).changed


def test_secrets_of_another_stack_are_removed_and_named(stack: FakeStack) -> None:
    edit(stack, custom={"secure": "v1:own"})
    stack.current_salt = "v1:of a new stack"
    written = write(stack)
    assert written.undecryptable == ("stellaops-storage:custom",), "every run of the engine would fail on it"
    assert "stellaops-storage:custom" not in values(stack)


def test_the_mapping_is_the_one_that_the_stack_names(stack: FakeStack, tmp_path: Path) -> None:
    assert config.mapping(stack.state) == ROOT / "schema-mapping.yaml"
    edit(stack, mapping="other.yaml")
    assert config.mapping(stack.state) == ROOT / "other.yaml"
    edit(stack, mapping=str(tmp_path / "third.yaml"))
    assert config.mapping(stack.state) == tmp_path / "third.yaml"


def test_a_file_that_is_no_yaml_is_one_line(stack: FakeStack) -> None:
    stack.state.config.write_text("config: [")
    with pytest.raises(UserError) as caught:
        write(stack)
    assert "is not valid YAML" in str(caught.value) and "\n" not in str(caught.value)
