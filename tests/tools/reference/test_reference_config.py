"""The ``config:`` block of Pulumi.yaml is what the model declares, and the rest of the file is left alone."""

from pathlib import Path

import pytest
import yaml

from components.config.keys import declared
from components.config.model import Settings
from tools.reference import config

ROOT = Path(__file__).parents[3]
PROJECT = ROOT / "Pulumi.yaml"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / config.FILE
    file.write_text(PROJECT.read_text())
    return file


def test_the_committed_block_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert config.run(check=True) == 0, "the engine would check other keys and defaults than the program"


def test_the_block_has_type_default_description_and_secret_of_every_key() -> None:
    block = yaml.safe_load(PROJECT.read_text())["config"]
    for item in declared(Settings):
        entry = block.pop(item.key.name)
        if item.foreign:
            assert entry == {"value": item.default}
            continue
        assert (entry["type"], entry.get("default")) == (item.pulumi_type, item.default)
        assert (entry.get("secret", False), entry["description"]) == (item.key.secret, item.key.description)
    assert set(block) == {"pulumi:disable-default-providers"}, "keys that no code reads"


def test_a_default_edited_in_the_file_is_reported_and_written_back(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edited = project.read_text().replace("default: 5432", "default: 5433")
    assert edited != project.read_text()
    project.write_text(edited)
    assert config.run(check=True) == 1 and project.read_text() == edited
    assert "Pulumi.yaml is not current; run: python3 -m tools schemas" in capsys.readouterr().err
    assert config.run(check=False) == 0 and project.read_text() == PROJECT.read_text()


def test_what_is_written_by_hand_is_kept(project: Path) -> None:
    text = project.read_text()
    project.write_text(
        text.replace("value: [postgresql, aws, kubernetes]", 'value: ["*"]  # each of them')
        + "\n# Of this project.\nplugins:\n  providers: []\n"
    )
    by_hand = project.read_text()
    assert config.run(check=False) == 0 and project.read_text() == by_hand
    project.write_text(by_hand.replace("default: 5432\n", "default: 5433\n\n"))
    assert config.run(check=False) == 0 and project.read_text() == by_hand


def test_a_file_that_does_not_say_where_the_generated_part_begins_is_left_alone(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = project.read_text().replace(config.MARKER, "")
    project.write_text(text)
    assert (
        config.run(check=False) == 1
        and "error: Pulumi.yaml must contain this line exactly once" in capsys.readouterr().err
    )
    assert project.read_text() == text
