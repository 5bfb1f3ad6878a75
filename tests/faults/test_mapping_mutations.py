"""A thousand mutations of the mapping: each is valid and everything can be derived, or is refused with its places.

Hypothesis generates the same mutations in each run (``derandomize``). A failure prints the smallest failing text.
"""

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from pydantic import BaseModel

from components.mapping import Mapping, MappingError, loads
from components.mapping.document import dotted
from tests.faults import mutations
from tests.faults.derived import derive
from tests.program.test_stacks import run

ROOT = Path(__file__).parents[2]
SHIPPED = (ROOT / "schema-mapping.yaml").read_text()
SMALL = (Path(__file__).parent / "small.yaml").read_text()
FILE = "schema-mapping.yaml"
LOCATED = re.compile(r"schema-mapping\.yaml:[1-9]\d*:[1-9]\d*(?: \S.*)?: \S")
COUNTS = {"text": 300, "tree": 350, "renamed": 250, "shipped": 100}


def thousandth(count: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=count, deadline=None, database=None, derandomize=True, print_blob=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def judge(raw: bytes) -> None:
    """Check one mutation. Every exception except ``MappingError`` fails the test."""
    last = sum(raw.count(end) for end in (b"\n", b"\r", b"\xc2\x85", b"\xe2\x80")) + 2
    try:
        mapping = loads(raw, FILE)
    except MappingError as error:
        problems = error.problems
    else:
        derive(mapping)
        return
    assert problems
    for problem in problems:
        assert 1 <= problem.line <= last and problem.column >= 1, problem
        assert problem.message.strip() and LOCATED.match(str(problem)), f"without a place: {problem}"
        assert str(problem).isprintable(), "it would lead a terminal astray, or be cut into lines without a place"
        assert len(str(problem)) < 1000, "nobody finds the error in that"


@thousandth(COUNTS["text"])
@given(mutations.texts(SMALL))
def test_a_changed_text_is_valid_or_told_with_its_places(raw: bytes) -> None:
    judge(raw)


@thousandth(COUNTS["tree"])
@given(mutations.trees(SMALL))
def test_a_changed_tree_is_valid_or_told_with_its_places(raw: bytes) -> None:
    judge(raw)


@thousandth(COUNTS["renamed"])
@given(mutations.renamed(SMALL))
def test_a_name_changed_everywhere_is_valid_or_told_with_its_places(raw: bytes) -> None:
    judge(raw)


@thousandth(COUNTS["shipped"])
@given(mutations.trees(SHIPPED) | mutations.texts(SHIPPED))
def test_the_shipped_mapping_changed_is_valid_or_told_with_its_places(raw: bytes) -> None:
    judge(raw)


def fields(model: type[BaseModel], here: str = "") -> dict[str, type[BaseModel]]:
    """Return the path of every field in the model, with ``*`` for keys of dicts -> the class that has the field."""
    found: dict[str, type[BaseModel]] = {}
    for name, field in model.model_fields.items():
        path = f"{here}.{name}" if here else name
        found[path] = model
        for kind, inner in _models(field.annotation):
            found |= fields(inner, f"{path}{kind}")
    return found


def _models(annotation: Any) -> list[tuple[str, type[BaseModel]]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [("", annotation)]
    step = ".*" if getattr(annotation, "__origin__", None) in (dict, tuple) else ""
    return [(step + kind, model) for part in getattr(annotation, "__args__", ()) for kind, model in _models(part)]


def test_the_small_mapping_has_every_field_so_that_none_is_left_unchanged() -> None:
    tree = yaml.safe_load(SMALL)
    there = {re.sub(r"\[\d+\]", ".*", dotted(path)) for path in mutations.paths(tree)}
    missing = []
    for path in fields(Mapping):
        # Any key of a dict; unusual keys in quotes.
        pattern = re.escape(path).replace(r"\.\*", r"(\.[^.]+|\[\"[^\"]+\"\])")
        if not any(re.fullmatch(pattern, place) for place in there):
            missing.append(path)
    assert not missing, f"add them to small.yaml: {missing}"
    loads(SMALL.encode(), FILE)


@thousandth(24)
@given(mutations.renamed(SMALL))
def test_the_program_takes_every_mapping_that_is_valid(raw: bytes) -> None:
    try:
        loads(raw, FILE)
    except MappingError:
        return
    with pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / FILE
        file.write_bytes(raw)
        try:
            recorder, _ = run("prod", monkeypatch, mapping=str(file))
        except pulumi.RunError as error:
            if "each schema of the mapping needs a directory of migrations" in str(error):
                return
            raise
    names = Counter((resource.type, resource.name) for resource in recorder.resources)
    assert not [name for name, count in names.items() if count > 1], "the engine stops at two resources of one name"


@pytest.mark.parametrize(
    "mutation",
    [b"a: &a [x]\nb: *a\n", b"version: !!python/object/apply:os.system [id]\n", b"\xff\xfe", b"x: \x1b[2J\n"],
)
def test_the_command_line_tells_it_in_lines_with_places(mutation: bytes, tmp_path: Path) -> None:
    file = tmp_path / FILE
    file.write_bytes(mutation)
    result = subprocess.run(
        [sys.executable, "-m", "tools", "check-mapping", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1 and not result.stdout
    assert all(LOCATED.match(line) for line in result.stderr.splitlines()), result.stderr
    assert list(tmp_path.iterdir()) == [file] and file.read_bytes() == mutation


LAUGHS = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20))
BOMBS = {
    "billion laughs": (f"a0: &a0 ha\n{LAUGHS}\n", "aliases are not supported"),
    "an anchor in itself": ("a: &a [*a]\n", "aliases are not supported"),
    "merge keys": ("a: &a {b: c}\nd: {<<: [*a, *a]}\n", "aliases are not supported"),
    "two million values": (f"a: [{'a,' * 1_000_000}]", "more than 300000 keys and values"),
    "keys without end": ("".join(f"k{n}: \n" for n in range(150_001)), "more than 300000 keys and values"),
    "many wrong keys": ("".join(f"k{n}: \n" for n in range(20_000)), " more"),
    "nesting without end": ("{a: " * 400_000, "nested deeper"),
    "nesting in blocks": ("- " * 900_000, "nested deeper"),
    "a number of a megabyte": (f"version: 0x{'f' * 1_000_000}", "number is too large"),
    "sixties without end": (f"version: 1{':59' * 500_000}", "number is too large"),
    "a name of a megabyte": (f"version: 1\n? {'modules' * 150_000}\n: 1\n", "unknown key"),
    "a text of a megabyte": (SMALL.replace("Collects statements", "x" * 1_000_000), "at most 500 characters"),
    "a target of a megabyte": (SMALL.replace("reads: [kits/]", f"reads: [{'kits/' * 200_000}]"), "at most 200"),
    "stars without end": (SMALL.replace('owns: ["metrics:*"]', f'owns: ["queue{":*" * 400_000}"]'), "at most 200"),
    "three megabytes": ("# x\n" * 800_000, "bytes long; the limit is"),
}

UNDER_A_LIMIT = """
import pathlib, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
from tools.development.mapping import check
for file in sys.argv[1:]:
    check(pathlib.Path(file))
    print("==", file, file=sys.stderr)
"""


def test_bombs_are_refused_with_little_time_and_memory(tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.yaml" for name in BOMBS}
    for name, file in files.items():
        file.write_text(BOMBS[name][0])
    result = subprocess.run(
        [sys.executable, "-c", UNDER_A_LIMIT, *map(str, files.values())],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    said = dict(zip(files, result.stderr.split("== "), strict=False))
    for name, (_, words) in BOMBS.items():
        assert words in said[name], f"{name}: {said[name][:300]}"
        assert len(said[name]) < 300_000, f"{name} floods whoever reads it"
