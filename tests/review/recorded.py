"""A recorded preview with the files that its case had: the mapping as edited, the migrations as written."""

import shutil
from pathlib import Path

import yaml

from review.approval import Approvals
from review.context import Context
from review.origin import Origins
from review.preview import parse
from review.risk import Risk
from review.verdict import Verdict
from tests.review import recording
from tests.review.cases import CASES
from tests.review.made import ROOT

MAPPING = "schema-mapping.yaml"


def verdict(name: str, directory: Path, labels: tuple[str, ...] = ()) -> Verdict:
    """The review of recording ``name``, in ``directory``, which is filled."""
    case = CASES[name]
    shutil.copytree(ROOT / "sql", directory / "sql", dirs_exist_ok=True)
    case.files(directory)
    mapping = yaml.safe_load((ROOT / MAPPING).read_text())
    case.mapping(mapping)
    (directory / MAPPING).write_text(yaml.safe_dump(mapping, sort_keys=False, width=200))
    context = Context(parse(recording.text(name), name), Origins.read(directory / MAPPING), directory)
    return Verdict(context, Risk.DATA_LOSS, Approvals.read(labels))
