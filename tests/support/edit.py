"""Change the mapping or the config of the live stack, and restore both afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import PROJECT, LocalStack

MAPPING = (PROJECT / "schema-mapping.yaml").read_text()


class Edit:
    """Change the inputs of the live stack; they take effect at the next command."""

    def __init__(self, stack: LocalStack, file: Path) -> None:
        self._stack = stack
        self._file = file
        self._before = {"mapping": "schema-mapping.yaml"}

    def __call__(self, old: str, new: str) -> None:
        """Use a copy of the mapping with one text replaced."""
        assert old in MAPPING, f"the mapping no longer has {old!r}"
        self.use(MAPPING.replace(old, new, 1))

    def use(self, mapping: str) -> None:
        """Use this mapping."""
        self._file.write_text(mapping)
        self.set("mapping", str(self._file))

    def set(self, key: str, value: str) -> None:
        self._before.setdefault(key, self._stack.config.get(key, ""))
        self._stack.must("pulumi", "config", "set", key, value)

    def undo(self) -> None:
        for key, value in self._before.items():
            self._stack.must("pulumi", "config", "set", key, value)


@pytest.fixture
def edit(live_stack: LocalStack, tmp_path: Path) -> Iterator[Edit]:
    live_stack.forget()
    made = Edit(live_stack, tmp_path / "schema-mapping.yaml")
    try:
        yield made
    finally:
        made.undo()
        live_stack.must("up")
        live_stack.forget()
