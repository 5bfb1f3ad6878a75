"""Edit the mapping of a running stack again and again, and compare its store with the mapping after each ``up``.

Each test of this kind has a subclass of ``EditedStack``: one component under the engine, on a real server.
``STELLAOPS_EDITS`` is the number of edits of each test, ``STELLAOPS_EDITS_SEED`` the seed that they are drawn from.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any, Generic, TypeVar

import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.support.stack import PROJECT
from tests.tools.offline_plugins.test_engine import Project

EDITS = int(os.environ.get("STELLAOPS_EDITS", "6"))
SEED = int(os.environ.get("STELLAOPS_EDITS_SEED", "16"))
# This many edits of one mapping follow each other; after the last, a refresh and a preview must find nothing.
IN_A_ROW = 3
EDITS_OF_A_NEW_ROW = 4

# The beginning of every program: ``s``, the test's settings, and ``provider``, which has the one store that is under test.
PROGRAM = """
import json
from pathlib import Path

import pulumi

from components.mapping import load
from components.resources.credentials import Credential
from components.resources.provider import Provider

s = json.load(open("settings.json"))
unused = {
    **dict.fromkeys((
        "postgres_host", "postgres_ssl_mode", "postgres_admin_user", "postgres_admin_password", "postgres_database",
        "postgres_maintenance_database", "valkey_host", "valkey_admin_user", "valkey_admin_password",
        "object_store_endpoint", "object_store_region", "object_store_access_key", "object_store_secret_key",
    ), "none"),
    "postgres_port": 1, "valkey_port": 1, "valkey_tls": False,
}
provider = Provider("stellaops", **{**unused, **s["provider"]})
opts = pulumi.ResourceOptions(provider=provider)
"""

Shape = TypeVar("Shape")
# A mapping file's content.
Document = dict[str, Any]
Row = Callable[[Any, int], None]


class EditedStack(ABC, Generic[Shape]):
    """A stack whose mapping follows a ``Shape``, the parts of a mapping that edits change. ``shape`` is the last one."""

    project: Project
    shape: Shape
    last_edit = "nothing"

    @abstractmethod
    def begin(self) -> Shape:
        """Return the mapping that every row of edits starts from."""

    @abstractmethod
    def edit(self, shape: Shape, chance: Random) -> str:
        """Change the shape in one respect. Return a description of the change."""

    @abstractmethod
    def tidy(self, shape: Shape) -> None:
        """Make the shape a valid mapping again, if edits left a name without its object or an object without owner."""

    @abstractmethod
    def write(self, shape: Shape) -> None:
        """Write the files that the program reads."""

    @abstractmethod
    def cells_off(self) -> list[str]:
        """Compare every cell of the store with ``shape``, by rules that are independent of the code under test."""

    def up(self, shape: Shape) -> None:
        self.shape = deepcopy(shape)
        self.write(self.shape)
        self.project.up()

    def check(self, description: object) -> None:
        """Fail if a cell differs from the mapping."""
        off = self.cells_off()
        assert not off, f"after {description}:\n" + "\n".join(off)

    def at_rest(self) -> bool:
        """Whether a refresh finds nothing, and a preview after it. Prints what they find."""
        result = self.project.run("preview", "--refresh", "--diff", "--expect-no-changes")
        if result.exit_code != 0:
            print(result.stdout, result.stderr)
        return result.exit_code == 0

    def edit_in_a_row(self, number: int) -> None:
        """Draw a mapping and edits of it from ``number``. The first ``up`` changes everything that the last row left."""
        # From a number, since data that hypothesis draws one by one repeats the first choice too often.
        shape, chance = self.begin(), Random(number)
        descriptions = [f"row {number}, after {self.last_edit}"]
        for step in range(IN_A_ROW):
            edits = chance.choice((1, 2)) if step else EDITS_OF_A_NEW_ROW
            self.last_edit = " and ".join(self._draw(shape, chance) for _ in range(edits))
            descriptions.append(self.last_edit)
            try:
                self.up(shape)
            except AssertionError as error:
                raise AssertionError(f"after {descriptions}:\n{error}") from error
            self.check(descriptions)
        assert self.at_rest(), descriptions

    def _draw(self, shape: Shape, chance: Random) -> str:
        description = self.edit(shape, chance)
        self.tidy(shape)
        return description


def rows_of_edits(test: Row) -> Row:
    """Call ``test`` with a number for each row of edits, as many rows as ``EDITS`` needs."""
    limits = settings(
        max_examples=max(1, EDITS // IN_A_ROW),
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    drawn: Row = seed(SEED)(limits(given(number=st.integers(0, 2**32))(test)))
    return drawn


def smallest_document(keeper: str) -> Document:
    """Return a mapping of one module, ``keeper``, which owns one schema, one key pattern and one bucket."""
    document: Document = yaml.safe_load((PROJECT / "schema-mapping.yaml").read_text())
    tables = {"kept": {"purpose": "test", "columns": {"id": "integer"}, "tenant": {"shared": "test"}}}
    objects = {"doc.json": {"purpose": "test"}, "attestation.dsse": {"purpose": "test"}}
    name = keeper.replace("_", "-")
    module = {
        "postgres": {"owns": [keeper]},
        "valkey": {"owns": [f"{keeper}:kept"]},
        "rustfs": {"owns": [f"{name}/"]},
    }
    return {
        "version": 1,
        "modules": {keeper: {"name": "Keeper", "purpose": "test", **module}},
        "services": {},
        "postgres": {
            "defaults": document["postgres"]["defaults"],
            "schemas": {keeper: {"purpose": "test", "tables": tables}},
        },
        "valkey": {
            "memory": document["valkey"]["memory"],
            "group_idle_timeout": "60s",
            "keys": {f"{keeper}:kept": {"type": "string", "ttl": "1h", "purpose": "test", "evictable": True}},
        },
        "rustfs": {
            "abort_multipart_after": "1d",
            "buckets": {name: {"purpose": "test", "root": "{id}/", "objects": objects}},
            "content_types": document["rustfs"]["content_types"],
            "envelope": {"path": f"{name}/{{id}}/doc.json", "fields": {"id": "string"}, "example": {"id": "test"}},
        },
        "backups": document["backups"],
    }
