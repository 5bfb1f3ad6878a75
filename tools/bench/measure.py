"""The measurements. Each ratio compares two commands that alternated in the same run."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.bench import floor, generated, stacks
from tools.bench.processes import Run
from tools.bench.stacks import Ours, Program, settle

Say = Callable[[str], None]

ADDED = "widgets"
# In import order: each time excludes the packages above it.
IMPORTS = {
    "pulumi": "import pulumi",
    "SDKs of the three providers": (
        "import pulumi_postgresql, pulumi_aws.s3, pulumi_kubernetes.core.v1, pulumi_kubernetes.apps.v1, "
        "pulumi_kubernetes.batch.v1, pulumi_kubernetes.meta.v1, pulumi_kubernetes.networking.v1, "
        "pulumi_kubernetes.policy.v1"
    ),
    "components, with pydantic, psycopg, jinja2": (
        "import components.backups.component, components.contract.objects, components.postgres.component, "
        "components.rustfs.component, components.valkey.component"
    ),
}


@dataclass(frozen=True)
class Cost:
    """Medians of a command's runs: ``wall`` seconds, processor seconds by kind in ``parts``, ``peak`` bytes."""

    wall: float
    parts: dict[str, float]
    peak: int


@dataclass
class Change:
    """The cost of adding a module. ``touched``: resource -> the operation that a preview lists for it."""

    touched: dict[str, str]
    up: Cost
    no_op: Cost


@dataclass
class Growth:
    """The costs of one mapping size. ``first_up_with_checkpoints`` is None if it was skipped as too slow."""

    factor: int
    modules: int
    schemas: int
    resources: int
    first_up: Cost
    first_up_with_checkpoints: Cost | None
    preview: Cost
    up: Cost
    state_bytes: int
    preview_bytes: int


@dataclass
class Results:
    """All measurements of one run of the benchmark."""

    resources: int = 0
    costs: dict[str, Cost] = field(default_factory=dict)
    floor: dict[str, float] = field(default_factory=dict)
    imports: dict[str, float] = field(default_factory=dict)
    change: Change | None = None
    growth: list[Growth] = field(default_factory=list)


def cost(runs: Sequence[Run]) -> Cost:
    """Return the median of each figure separately."""
    kinds = sorted({kind for run in runs for kind in run.seconds})
    return Cost(
        wall=statistics.median(run.wall for run in runs),
        parts={kind: statistics.median(run.seconds.get(kind, 0.0) for run in runs) for kind in kinds},
        peak=int(statistics.median(run.peak for run in runs)),
    )


def no_op(results: Results, directory: Path, rounds: int, say: Say) -> None:
    """Measure preview and ``up`` without changes, of an empty program, of one with idle resources, and of ours."""
    with stacks.ours(directory / "no-op", generated.mapping(1)) as ours:
        say("first up of the shipped mapping")
        ours.up()
        results.resources = _resources(ours)
        programs: dict[str, Program] = {
            "empty": stacks.small(directory / "empty", "empty", stacks.EMPTY),
            "idle": stacks.small(directory / "idle", "idle", stacks.IDLE.format(count=results.resources - 1)),
            "ours": ours,
        }
        for name in ("empty", "idle"):
            programs[name].up()
        for command in ("preview", "up"):
            costs = _alternate(
                {name: getattr(program, command) for name, program in programs.items()}, rounds, command, say
            )
            results.costs |= {f"{command} {name}": value for name, value in costs.items()}
        results.change = _add_module(ours, rounds, say)


def first_up(results: Results, directory: Path, rounds: int, say: Say) -> None:
    """Measure a first ``up`` in empty stores, and direct calls that create the same."""
    runs: dict[str, list[Run]] = {"ours": [], "ours without checkpoints": [], "empty": [], "idle": []}
    floors: list[dict[str, float]] = []
    for number in range(rounds):
        say(f"first up, round {number + 1} of {rounds}")
        with stacks.ours(directory / f"first-{number}", generated.mapping(1)) as ours:
            settle()
            runs["ours"].append(ours.up())
            made = floor.read(ours)
        with stacks.ours(directory / f"first-unsaved-{number}", generated.mapping(1)) as ours:
            settle()
            runs["ours without checkpoints"].append(ours.up(checkpoints=False))
        place = directory / f"floor-{number}"
        with stacks.servers(place) as fleet:
            settle()
            floors.append(floor.replay(made, fleet, place))
        for name, source in (("empty", stacks.EMPTY), ("idle", stacks.IDLE.format(count=results.resources - 1))):
            program = stacks.small(directory / f"first-{name}-{number}", name, source)
            settle()
            runs[name].append(program.up())
    results.costs |= {f"first up {name}": cost(found) for name, found in runs.items()}
    results.floor = {name: statistics.median(one[name] for one in floors) for name in floors[0]}


def growth(results: Results, directory: Path, factors: Iterable[int], saved: int, say: Say) -> None:
    """Measure larger and larger mappings; up to factor ``saved``, also a first ``up`` with checkpoints."""
    for factor in factors:
        data = generated.mapping(factor)
        say(f"{factor} times the modules")
        with_checkpoints = None
        if factor <= saved:
            with stacks.ours(directory / f"saved-{factor}", data) as ours:
                with_checkpoints = cost([ours.up()])
        with stacks.ours(directory / f"growth-{factor}", data) as ours:
            first = cost([ours.up(checkpoints=False)])
            results.growth.append(
                Growth(
                    factor=factor,
                    modules=len(data["modules"]),
                    schemas=len(data["postgres"]["schemas"]),
                    resources=_resources(ours),
                    first_up=first,
                    first_up_with_checkpoints=with_checkpoints,
                    preview=cost([ours.preview()]),
                    up=cost([ours.up()]),
                    state_bytes=ours.checkpoint.stat().st_size,
                    preview_bytes=len(ours.cli.output("preview", "--json")),
                )
            )


def imports(results: Results, rounds: int) -> None:
    """Measure the processor seconds of each import, one after the other in a new interpreter."""
    script = "import time\n" + "".join(
        f"began = time.process_time()\n{line}\nprint(time.process_time() - began)\n" for line in IMPORTS.values()
    )
    found = [
        [
            float(line)
            for line in subprocess.run(
                [sys.executable, "-c", script], cwd=generated.ROOT, capture_output=True, text=True, check=True
            ).stdout.split()
        ]
        for _ in range(rounds)
    ]
    results.imports = {name: statistics.median(one[at] for one in found) for at, name in enumerate(IMPORTS)}


def _alternate(commands: dict[str, Callable[[], Run]], rounds: int, what: str, say: Say) -> dict[str, Cost]:
    """Run each command once per round, so that other load on the machine affects all of them."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(rounds):
        say(f"{what} without changes, round {number + 1} of {rounds}")
        for name, command in commands.items():
            settle()
            runs[name].append(command())
    return {name: cost(found) for name, found in runs.items()}


def _add_module(ours: Ours, rounds: int, say: Say) -> Change:
    """Measure ``up`` after adding a module with a schema and keys; remove it again before the next round."""
    shipped, larger = generated.mapping(1), generated.mapping(1)
    generated.add_module(larger, ADDED)
    runs: list[Run] = []
    unchanged: list[Run] = []
    touched: dict[str, str] = {}
    for number in range(rounds):
        say(f"one module more, round {number + 1} of {rounds}")
        settle()
        unchanged.append(ours.up())
        ours.change(larger)
        touched = touched or _touched(ours)
        settle()
        runs.append(ours.up())
        ours.change(shipped)
        ours.up()
    return Change(touched, cost(runs), cost(unchanged))


def _touched(ours: Ours) -> dict[str, str]:
    """Return type and name of each resource that a preview lists as changed -> the operation."""
    digest: dict[str, Any] = json.loads(ours.cli.output("preview", "--json"))
    return {
        " ".join(step["urn"].split("::")[2:]).rpartition("$")[2]: step["op"]
        for step in digest["steps"]
        if step["op"] != "same"
    }


def _resources(ours: Ours) -> int:
    return len(json.loads(ours.checkpoint.read_text(encoding="utf-8"))["checkpoint"]["latest"]["resources"])
