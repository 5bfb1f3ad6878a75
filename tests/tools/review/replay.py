"""A recorded preview with the files that its case had: the mapping as edited, the migrations as written."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.tools.review import recording
from tests.tools.review.cases import CASES
from tests.tools.review.synthetic import ROOT
from tools.review.approval import Approvals
from tools.review.context import ReviewContext
from tools.review.origin import MappingOrigins
from tools.review.preview import parse
from tools.review.risk import Risk
from tools.review.verdict import Verdict

MAPPING = "schema-mapping.yaml"
# Written in C where libyaml is there.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@cache
def _files() -> Path:
    """A directory for the files of all cases; it goes with the test run."""
    directory = tempfile.TemporaryDirectory()
    atexit.register(directory.cleanup)
    return Path(directory.name)


@cache
def mapping_text() -> str:
    return (ROOT / MAPPING).read_text()


@cache
def _context(name: str) -> ReviewContext:
    case, directory = CASES[name], _files() / name
    shutil.copytree(ROOT / "sql", directory / "sql")
    case.files(directory)
    mapping = _mapping()
    case.mapping(mapping)
    (directory / MAPPING).write_text(yaml.dump(mapping, Dumper=DUMPER, sort_keys=False, width=200))
    return ReviewContext(parse(recording.text(name), name), MappingOrigins.read(directory / MAPPING), directory)


def _mapping() -> dict[str, Any]:
    mapping: dict[str, Any] = yaml.load(mapping_text(), Loader=LOADER)
    return mapping


def verdict(name: str, labels: tuple[str, ...] = ()) -> Verdict:
    """The review of recording ``name``, with the labels of its pull request."""
    return Verdict(_context(name), Risk.DATA_LOSS, Approvals.read(labels))
