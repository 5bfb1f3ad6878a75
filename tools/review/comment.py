"""Write the comment: verdicts, then data loss, then the other changes, with folded details below each.

GitHub accepts 65,536 characters. If the comment is longer, whole blocks are omitted: first folded details, then
sentences, the lowest risk first. Data loss is never omitted.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tools.review.approval import label
from tools.review.change import STORES, RatedChange
from tools.review.escape import block, code, folded, plain
from tools.review.kinds import generic
from tools.review.mask import mask
from tools.review.preview import PreviewStep
from tools.review.risk import Risk
from tools.review.size_limit import DETAILS, LIMIT, SENTENCES, CommentBlock, fit_to_limit
from tools.review.verdict import Verdict

LONGEST_ERROR = 6_000
LONGEST_DETAIL = 20_000
MOST_LINES = 40


@dataclass(frozen=True)
class CommentOptions:
    """``report`` is a Markdown reference to the full report; ``secrets`` are masked; ``keep`` are URLs that are never
    masked."""

    report: str = ""
    secrets: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    limit: int = LIMIT


def marker(project: str, stack: str) -> str:
    """The hidden line by which ``review publish`` finds the comment of a project and stack."""
    name = f"{project}/{stack}".replace("--", "-%2D").replace(">", "%3E")
    return f"<!-- stellaops-storage review: {name} -->"


def markers(verdicts: Iterable[Verdict]) -> str:
    return "\n".join(marker(item.preview.project or "-", item.preview.stack) for item in verdicts)


def write(verdicts: list[Verdict], options: CommentOptions) -> str:
    """The whole comment."""
    blocks = [CommentBlock("\n".join(_headline(verdict) for verdict in verdicts if not verdict.unchanged))]
    unchanged = [code(verdict.preview.stack) for verdict in verdicts if verdict.unchanged]
    if unchanged:
        blocks.append(CommentBlock(f"\N{WHITE HEAVY CHECK MARK} no changes: {', '.join(unchanged)}"))
    changed = [verdict for verdict in verdicts if not verdict.unchanged]
    for verdict in changed:
        if len(changed) > 1:
            blocks.append(CommentBlock(f"## {code(verdict.preview.stack)}"))
        blocks += _stack(verdict)
    blocks = [block for block in blocks if block.text]
    for item in blocks:
        item.text = mask(item.text, options.secrets, options.keep)
    text = fit_to_limit(blocks, markers(verdicts), options.report, options.limit)
    return mask(text, options.secrets, options.keep)


def _headline(verdict: Verdict) -> str:
    """One line: the highest risk, what fails the check, and the number of changed resources. Replacements are counted
    separately."""
    name = f"**{code(verdict.preview.stack)}**"
    if verdict.failed:
        return f"\N{CROSS MARK} {name}: **the preview failed**  "
    words = {"create": "created", "update": "changed", "delete": "deleted", "replace": "**replaced**"}
    counts = verdict.preview.counts
    counted = [f"{count} {words[op]}" for op, count in counts.items() if op != "replace"]
    counted += [f"{counts['replace']} {words['replace']}"] if "replace" in counts else []
    counted += [f"{verdict.preview.same_count} unchanged"] if verdict.preview.same_count else []
    sign = "\N{NO ENTRY}" if verdict.blocked else "\N{WHITE HEAVY CHECK MARK}"
    if not verdict.blocked and verdict.risk > Risk.ADDITIVE:
        sign = "\N{WARNING SIGN}\N{VARIATION SELECTOR-16}"
    risk = f"**{verdict.risk.words}**" if verdict.risk else "no risk"
    return f"{sign} {name}: {risk}{_check_state(verdict)} \N{MIDDLE DOT} {', '.join(counted) or 'no resources'}  "


def _check_state(verdict: Verdict) -> str:
    violated = sum(violation.mandatory for violation in verdict.violations)
    parts = []
    if verdict.unapproved:
        parts.append(f"{len(verdict.unapproved)} to approve")
    elif verdict.risk >= verdict.threshold:
        parts.append("approved")
    if violated:
        parts.append(f"{violated} rule{'s' if violated > 1 else ''} violated")
    return f", {', '.join(parts)}" if parts else ""


def _stack(verdict: Verdict) -> list[CommentBlock]:
    blocks = [CommentBlock(_errors(verdict))]
    worst = [change for change in verdict.changes if change.risk == Risk.DATA_LOSS]
    if worst:
        blocks.append(_destructive(verdict, worst))
    blocks.append(CommentBlock(_violations(verdict)))
    blocks.append(CommentBlock(_approvals(verdict)))
    shown: set[str] = set()
    blocks += _details(verdict, worst, shown)
    rest = [change for change in verdict.changes if change.risk != Risk.DATA_LOSS]
    for store in STORES:
        changes = [change for change in rest if change.store == store]
        if changes:
            blocks += _store(verdict, store, changes, shown)
    remaining = [
        step
        for step in verdict.preview.changes
        if step.urn not in shown and not step.type.startswith(generic.ENGINE_TYPES)
    ]
    if remaining:
        blocks.append(CommentBlock(_folded_steps(remaining, "other resources"), DETAILS, Risk.NONE))
    return [
        *blocks,
        *_contract(verdict),
        CommentBlock(_drift(verdict)),
        CommentBlock(_warnings(verdict), DETAILS, Risk.NONE),
    ]


def _errors(verdict: Verdict) -> str:
    if not verdict.failed:
        return ""
    texts = []
    for error in verdict.preview.errors:
        truncation = (
            f"\n... ({len(error) - LONGEST_ERROR} more characters in the report)" if len(error) > LONGEST_ERROR else ""
        )
        texts.append(error[:LONGEST_ERROR] + truncation)
    text = "\n".join(texts[:MOST_LINES])
    return f"Pulumi reported these errors; nothing was changed:\n\n{block(text[: LONGEST_ERROR * 2])}"


def _destructive(verdict: Verdict, changes: list[RatedChange]) -> CommentBlock:
    lines, names = [], []
    for change in changes:
        approved = verdict.approvals.covers(change)
        approval = "**approved**" if approved else f"to approve, add the label {code(label(change))}"
        lines.append(f"> - {_sentence(verdict, change)}; {approval}")
        names.append(f"> - {code(change.resource)}{' (approved)' if approved else ''}")
    head = "> [!CAUTION]\n> **These changes delete data or remove its protection**\n>\n"
    return CommentBlock(head + "\n".join(lines), risk=Risk.DATA_LOSS, short=head + "\n".join(names))


def _sentence(verdict: Verdict, change: RatedChange) -> str:
    link = verdict.context.origins.link(change.origin)
    return f"{change.sentence}{f' ({link})' if link else ''}"


def _violations(verdict: Verdict) -> str:
    if not verdict.violations:
        return ""
    lines = [
        f"- **{code(violation.rule)}**{'' if violation.mandatory else ' (advisory)'}: {plain(violation.message)}"
        for violation in verdict.violations
    ]
    return "#### Violated rules\n" + _capped(lines)


def _approvals(verdict: Verdict) -> str:
    """Labels that a threshold below data loss requires. Labels for data loss are in ``_destructive``."""
    required = [change for change in verdict.unapproved if change.risk != Risk.DATA_LOSS]
    if not required:
        return ""
    lines = list(dict.fromkeys(f"- {code(label(change))}" for change in required))
    return f"Changes with the risk **{verdict.threshold.words}** or higher need a label on this stack:\n" + _capped(
        lines
    )


def _store(verdict: Verdict, store: str, changes: list[RatedChange], shown: set[str]) -> list[CommentBlock]:
    """A block of sentences and a block of details for each group, under the store's heading."""
    blocks = []
    groups = dict.fromkeys(change.group for change in changes)
    for index, group in enumerate(groups):
        found = [change for change in changes if change.group == group]
        lines = [f"- {_sentence(verdict, change)} \N{MIDDLE DOT} {change.risk.words}" for change in found]
        heading = f"#### {store}\n" if index == 0 else ""
        worst = max(change.risk for change in found)
        blocks.append(CommentBlock(heading + "\n".join(lines), SENTENCES, worst))
        blocks += _details(verdict, found, shown)
    return blocks


def _details(verdict: Verdict, changes: list[RatedChange], shown: set[str]) -> list[CommentBlock]:
    """The SQL of migrations, and the changed properties of each resource that no earlier change has shown."""
    blocks = [CommentBlock(change.extra, DETAILS, change.risk) for change in changes if change.extra]
    urns = {urn for change in changes for urn in change.urns} - shown
    shown |= urns
    steps = [step for step in (verdict.preview.step(urn) for urn in sorted(urns)) if step is not None]
    if steps:
        worst = max(change.risk for change in changes)
        blocks.append(CommentBlock(_folded_steps(steps, ""), DETAILS, worst))
    return blocks


def _folded_steps(steps: list[PreviewStep], noun: str) -> str:
    text = "\n".join(generic.properties(step) for step in steps)
    if len(text) > LONGEST_DETAIL:
        text = f"{text[:LONGEST_DETAIL]}\n... ({len(text) - LONGEST_DETAIL} more characters in the report)"
    count = f"{len(steps)} {noun or 'resource' + ('' if len(steps) == 1 else 's')}"
    return folded(f"{count}, property by property", block(text, "diff"))


def _contract(verdict: Verdict) -> list[CommentBlock]:
    difference = verdict.contract
    if not verdict.preview.complete and verdict.preview.changes and not verdict.failed:
        hint = "PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true"
        return [
            CommentBlock(
                f"#### Contract\nnot compared: the preview has no planned outputs (run it with {code(hint)})",
                SENTENCES,
                Risk.ADDITIVE,
            )
        ]
    if not difference:
        return []
    lines = [
        f"- {kind} {code(path)}"
        for kind, paths in (
            ("**removed**", difference.removed),
            ("**retyped**", difference.retyped),
            ("changed", difference.changed),
            ("added", difference.added),
        )
        for path in paths
    ]
    counts = ", ".join(
        f"{len(paths)} field{'' if len(paths) == 1 else 's'} {kind}"
        for kind, paths in (
            ("added", difference.added),
            ("removed", difference.removed),
            ("retyped", difference.retyped),
            ("changed", difference.changed),
        )
        if paths
    )
    old, new = difference.version
    version = f"version {code(old)}" if old == new else f"version {code(old)} becomes {code(new)}"
    head = f"#### Contract for services\n{version}: {counts}"
    breaking = bool(difference.removed or difference.retyped)
    return [
        CommentBlock(head, SENTENCES, Risk.ACCESS_REVOKED if breaking else Risk.ADDITIVE),
        CommentBlock(
            folded("fields", _capped(lines, MOST_LINES * 5)),
            DETAILS,
            Risk.ACCESS_REVOKED if breaking else Risk.ADDITIVE,
        ),
    ]


def _drift(verdict: Verdict) -> str:
    if not verdict.drifted:
        return ""
    lines = [f"- {code(line)}" for line in verdict.drifted]
    return "#### Drift: changes made outside Pulumi\n" + _capped(lines)


def _warnings(verdict: Verdict) -> str:
    if not verdict.preview.warnings:
        return ""
    text = "\n".join(verdict.preview.warnings)
    count = len(verdict.preview.warnings)
    return folded(f"{count} warning{'' if count == 1 else 's'} from Pulumi", block(text[:LONGEST_DETAIL]))


def _capped(lines: list[str], most: int = MOST_LINES) -> str:
    if len(lines) <= most:
        return "\n".join(lines)
    return "\n".join([*lines[:most], f"- and {len(lines) - most} more in the report"])
