"""Format the results as Markdown tables, for a page or a terminal, and as a plot."""

from pathlib import Path

from tools.bench.measure import Change, Cost, Growth, Results
from tools.bench.processes import KINDS

TARGET_NO_OP, TARGET_FIRST, TARGET_ADDED = 2.0, 4.0, 1.5
MEGABYTE = 1024 * 1024


def table(results: Results) -> str:
    """Format every part that was measured; omit the others."""
    parts = [_costs(results), _floor(results), _imports(results)]
    if results.change:
        parts.append(_change(results.change))
    if results.growth:
        parts.append(_growth(results.growth))
    return "\n\n".join(part for part in parts if part) + "\n"


def _rows(head: list[str], rows: list[list[str]]) -> str:
    """Format an aligned Markdown table: text left, numbers right."""
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    lines = [[cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(row, widths, strict=True))] for row in (head, *rows)]  # fmt: skip
    rule = ["-" * width if at == 0 else "-" * (width - 1) + ":" for at, width in enumerate(widths)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))


def _cost(name: str, cost: Cost, ratio: str = "") -> list[str]:
    parts = [f"{cost.parts.get(kind, 0.0):.2f}" for kind in KINDS]
    return [name, f"{cost.wall:.2f}", ratio, *parts, f"{cost.peak / MEGABYTE:.0f}"]


def _costs(results: Results) -> str:
    costs, count = results.costs, results.resources
    rows = []
    for command in ("preview", "up"):
        base = costs.get(f"{command} empty")
        if not base:
            continue
        for name, label in (("empty", "an empty program"), ("idle", f"{count} resources that do nothing"), ("ours", f"this stack, {count} resources")):  # fmt: skip
            found = costs[f"{command} {name}"]
            target = f" (target {TARGET_NO_OP})" if (command, name) == ("preview", "ours") else ""
            rows.append(_cost(f"{command} without changes: {label}", found, f"{found.wall / base.wall:.1f}{target}"))
    least = _least(results)
    for name, label in (
        ("empty", "an empty program"),
        ("idle", f"{count} resources that do nothing"),
        ("ours without checkpoints", f"this stack, {count} resources, state written at its end, as make up does it"),
        ("ours", "the same, state written after each resource, as on servers that were there before"),
    ):
        found_first = costs.get(f"first up {name}")
        if found_first:
            ratio = f"{found_first.wall / least:.1f}" if least and name.startswith("ours") else ""
            target = f" (target {TARGET_FIRST:.0f})" if name.startswith("ours") else ""
            rows.append(_cost(f"first up: {label}", found_first, ratio + target))
    head = ["", "seconds", "ratio", *(f"{kind} s" for kind in KINDS), "peak MB"]
    return _rows(head, rows) if rows else ""


def _least(results: Results) -> float:
    """Return the lower bound of a first ``up`` in seconds: direct calls plus an empty program."""
    empty = results.costs.get("first up empty")
    return sum(results.floor.values()) + empty.wall if empty and results.floor else 0.0


def _floor(results: Results) -> str:
    if not results.floor:
        return ""
    rows = [[f"{name}, by direct calls", f"{seconds:.2f}"] for name, seconds in results.floor.items()]
    rows.append(["an empty program's up", f"{results.costs['first up empty'].wall:.2f}"])
    return _rows(["floor of a first up", "seconds"], [*rows, ["together", f"{_least(results):.2f}"]])


def _imports(results: Results) -> str:
    rows = [[name, f"{seconds:.2f}"] for name, seconds in results.imports.items()]
    return _rows(["imports of the program", "processor s"], rows) if rows else ""


def _change(change: Change) -> str:
    ratio = f"{change.up.wall / change.no_op.wall:.2f} (target {TARGET_ADDED})"
    rows = [_cost("up without changes", change.no_op), _cost("up with one module more", change.up, ratio)]
    head = ["one module more", "seconds", "ratio", *(f"{kind} s" for kind in KINDS), "peak MB"]
    touched = "\n".join(f"- {how} `{what}`" for what, how in change.touched.items())
    return f"{_rows(head, rows)}\n\nIt touches {len(change.touched)} resources:\n\n{touched}"


def _growth(sizes: list[Growth]) -> str:
    head = [
        "modules", "schemas", "resources", "first up s", "state after each s", "preview s", "up s", "peak MB", "state MB",
        "preview MB",
    ]  # fmt: skip
    rows = []
    for size in sizes:
        saved = size.first_up_with_checkpoints
        peak = max(size.first_up.peak, size.preview.peak, size.up.peak)
        rows.append(
            [
                f"{size.factor} x = {size.modules}", str(size.schemas), str(size.resources), f"{size.first_up.wall:.1f}",
                f"{saved.wall:.1f}" if saved else "", f"{size.preview.wall:.1f}", f"{size.up.wall:.1f}",
                f"{peak / MEGABYTE:.0f}", f"{size.state_bytes / MEGABYTE:.1f}", f"{size.preview_bytes / MEGABYTE:.1f}",
            ]
        )  # fmt: skip
    return _rows(head, rows)


def plot(results: Results, file: Path) -> None:
    """Draw processor time by part, and time by number of modules, as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "stellaops-storage", "font.size": 9})
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    cases = {
        "preview: empty": "preview empty",
        "preview: idle": "preview idle",
        "preview: this stack": "preview ours",
        "first up: idle": "first up idle",
        "first up: this stack": "first up ours without checkpoints",
        "... state after each resource": "first up ours",
    }
    shown = {label: results.costs[name] for label, name in cases.items() if name in results.costs}
    start = [0.0] * len(shown)
    for kind in KINDS:
        values = [cost.parts.get(kind, 0.0) for cost in shown.values()]
        left.barh(list(shown), values, left=start, label=kind)
        start = [before + value for before, value in zip(start, values, strict=True)]
    left.invert_yaxis()
    left.set_xlabel("processor seconds")
    left.legend(frameon=False)
    left.set_title(f"Where the time goes ({results.resources} resources)")
    if results.growth:
        modules = [size.modules for size in results.growth]
        right.loglog(modules, [size.first_up.wall for size in results.growth], "o-", label="first up")
        saved = [(s.modules, s.first_up_with_checkpoints.wall) for s in results.growth if s.first_up_with_checkpoints]
        if saved:
            right.loglog(*zip(*saved, strict=True), "s-", label="first up, state after each resource")
        right.loglog(modules, [size.preview.wall for size in results.growth], "^-", label="preview without changes")
        first = results.growth[0].first_up.wall
        right.loglog(modules, [first * count / modules[0] for count in modules], ":", color="grey", label="linear")
        right.set_xticks(modules, [str(count) for count in modules])
        right.minorticks_off()
        right.set_xlabel("modules")
        right.set_ylabel("seconds")
        right.legend(frameon=False)
        right.set_title("Growth")
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
