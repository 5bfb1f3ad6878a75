"""The keys as a whole: what the model declares is what people read about, what stacks set and what the engine checks."""

import re
from pathlib import Path

import pytest
import yaml

from components.config.keys import Declared, declared
from components.config.model import Settings

ROOT = Path(__file__).parents[3]
KEYS = {item.full_name: item for item in declared(Settings)}
STACKS = sorted((ROOT / "stacks").glob("Pulumi.*.yaml"))


@pytest.mark.parametrize("item", KEYS.values(), ids=lambda item: item.name)
def test_every_field_has_a_description(item: Declared) -> None:
    text = item.key.description
    assert re.fullmatch(r"[A-Zl`].{15,}\.", text), f"{item.name}: {text!r} is not a sentence"
    assert "  " not in text and "|" not in text, "Pulumi.yaml folds the text, the page puts it into a table"
    assert text.count("`") % 2 == 0


def test_no_description_stands_for_two_keys() -> None:
    texts = [item.key.description for item in KEYS.values()]
    assert len(set(texts)) == len(texts)


def test_every_key_that_a_description_mentions_exists() -> None:
    names = {item.name for item in KEYS.values()}
    mentioned = {
        word
        for item in KEYS.values()
        for word in re.findall(r"`((?:postgres|valkey|kubernetes|objectStore|backups)[A-Z]\w*)`", item.key.description)
    }
    assert mentioned and mentioned <= names


def test_no_key_is_declared_twice() -> None:
    assert len(KEYS) == len(declared(Settings))


def test_exactly_the_passwords_and_keys_are_secret() -> None:
    assert {item.name for item in KEYS.values() if item.key.secret} == {
        "postgresAdminPassword", "valkeyAdminPassword", "objectStoreAccessKey", "objectStoreSecretKey",
    }  # fmt: skip


@pytest.mark.parametrize("file", STACKS, ids=lambda file: file.name)
def test_every_key_of_a_committed_stack_is_known(file: Path) -> None:
    unknown = [key for key in yaml.safe_load(file.read_text())["config"] if key not in KEYS]
    assert not unknown, f"{unknown} in {file.name} would be ignored silently"


def test_every_choice_of_the_review_threshold_is_a_risk() -> None:
    from tools.review.risk import Risk

    choices = [Risk.parse(choice) for choice in KEYS["stellaops-storage:reviewThreshold"].choices]
    assert choices == sorted(set(Risk) - {Risk.NONE}, reverse=True), "from the most tolerant threshold to the strictest"
