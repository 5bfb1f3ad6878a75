"""Run every command of the guides in a fresh copy of the project, in the order of the guides."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guides.guide import Block, blocks, edit, missing
from tests.support.stack import PROJECT, LocalStack, copy_project
from tests.support.watchdog import Watchdog
from tools.local.engine import tools
from tools.local.paths import cache_directory
from tools.reference.site import WRITTEN

pytestmark = pytest.mark.xdist_group("guides")

GUIDES = [PROJECT / path for path in WRITTEN["Guides"]]
TIMEOUT_SECONDS = 300
MARK = "::block "


@pytest.fixture(scope="module")
def copy(watchdog: Watchdog) -> Iterator[Path]:
    """Copy the project as a fresh clone would be, with the packages already installed."""
    # If we are root, PostgreSQL runs as another account, which cannot enter pytest's directories.
    place = Path(tempfile.mkdtemp(prefix="guides-"))
    place.chmod(0o711)
    project = place / "stellaops-storage"
    watchdog.watch(project)
    copy_project(project)
    stack = LocalStack(project / ".state", project)
    try:
        yield project
    finally:
        stack.run("clean", "--yes")
        shutil.rmtree(place)


def environment(project: Path) -> dict[str, str]:
    """Return a reader's environment: a home directory, and an engine on the PATH with a backend."""
    home = project.parent
    pulumi = tools.existing_engine().pulumi.parent
    return {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(cache_directory().parent),
        "PATH": f"{os.environ['PATH']}:{pulumi}",
        "PULUMI_HOME": str(home / "pulumi-home"),
        "PULUMI_BACKEND_URL": f"file://{home}",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


def script(found: list[Block]) -> str:
    """Join the blocks to one shell session, as in a reader's terminal; each block prints its line number first."""
    parts = ["set -euo pipefail"]
    for block in found:
        mark = f"echo '{MARK}{block.line}'"
        if block.note == "fails":
            parts.append(f"{mark}\nif (\n{block.text}) 2>&1; then echo 'this must fail'; exit 1; fi")
        else:
            parts.append(f"{mark}\n{block.text}")
    return "\n".join(parts)


def sessions(found: list[Block]) -> Iterator[Block | list[Block]]:
    """Yield edits, and between them lists of shell blocks to run."""
    shell: list[Block] = []
    for block in found:
        if block.kind == "diff":
            yield shell
            shell = []
            yield block
        elif block.kind == "sh" and not block.note.startswith("not run"):
            shell.append(block)
    yield shell


def follow(guide: Path, project: Path) -> dict[int, str]:
    """Follow the guide; return the output of each shell block by its line."""
    outputs: dict[int, str] = {}
    variables = project.parent / "variables"
    variables.write_text("")
    for part in sessions(blocks(guide)):
        if isinstance(part, Block):
            edit(project, part.text)
        elif part:
            # Keep exported variables for the next block, as in one terminal.
            text = f". {variables}\n{script(part)}\nexport -p > {variables}"
            result = subprocess.run(
                ["bash", "-c", text],
                cwd=project, env=environment(project), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, timeout=TIMEOUT_SECONDS, check=False,
            )  # fmt: skip
            done = re.split(rf"^{MARK}(\d+)\n", result.stdout, flags=re.MULTILINE)
            outputs |= {int(line): output for line, output in zip(done[1::2], done[2::2], strict=True)}
            assert result.returncode == 0, f"{guide.name}:{done[-2]} does not do what it says:\n{done[-1]}"
    return outputs


@pytest.mark.parametrize("guide", GUIDES, ids=[guide.stem for guide in GUIDES])
def test_a_guide_does_what_it_says(guide: Path, copy: Path) -> None:
    if not (copy / ".state").exists() and guide != GUIDES[0]:
        LocalStack(copy / ".state", copy).must("up")
    outputs = follow(guide, copy)
    last: Block | None = None
    for block in blocks(guide):
        if block.kind == "text":
            assert last is not None and last.line in outputs, f"{guide.name}:{block.line} shows the output of nothing"
            lacking = missing(block.text, outputs[last.line])
            assert not lacking, f"{guide.name}:{block.line} shows {lacking}; the reader sees:\n{outputs[last.line]}"
        elif block.kind == "sh":
            last = block


def test_every_guide_is_listed_in_the_site_and_run() -> None:
    assert {path.name for path in GUIDES} == {path.name for path in (PROJECT / "docs" / "guides").glob("*.md")}


def test_what_is_not_run_says_why() -> None:
    notes = [block.note for guide in GUIDES for block in blocks(guide) if block.note]
    assert all(note == "fails" or re.match(r"not run: \w+ \w+", note) for note in notes), notes


def test_output_that_a_reader_does_not_see_is_noticed() -> None:
    assert missing("a ... b\nerror: no", "x a   1 b\nerror:   no, not\n") == []
    assert missing("a ... b", "a\nb") == ["a ... b"]


def test_an_edit_that_a_reader_could_not_do_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("one\ntwo\none\n")
    edit(tmp_path, "--- file\n one\n-two\n+2\n")
    assert (tmp_path / "file").read_text() == "one\n2\none\n"
    for diff in ("--- file\n-one\n", "--- file\n-three\n"):
        with pytest.raises(AssertionError, match="a reader finds this"):
            edit(tmp_path, diff)
