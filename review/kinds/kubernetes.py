"""The Valkey deployment on Kubernetes: does it restart, how often, and why."""

import re
from typing import Any

from components.mapping.names import memory_bytes
from review.change import Change, Path_
from review.context import Context
from review.escape import code, codes, plain
from review.kinds import generic
from review.preview import State, Step
from review.risk import Risk
from review.tokens import CONFIG_MAP, NETWORK_POLICY, SECRET, STATEFUL_SET

TYPES = (CONFIG_MAP, SECRET, STATEFUL_SET, NETWORK_POLICY)
STORE = "Kubernetes"
CONF = "valkey.conf"
ACL = "users.acl"

_ORIGINS: dict[str, Path_] = {
    "maxmemory": ("valkey", "memory", "maxmemory"),
    "maxmemory-policy": ("valkey", "memory", "maxmemory_policy"),
    "stream-node-max-bytes": ("valkey", "memory", "stream_node_max_bytes"),
    "stream-node-max-entries": ("valkey", "memory", "stream_node_max_entries"),
    "appendonly": ("backups", "valkey", "strategy"),
    "save": ("backups", "valkey", "strategy"),
}
Directives = dict[str, str]


def changes(context: Context, steps: list[Step]) -> list[Change]:
    """Configuration, users and the pods that read them are one thing to a reviewer; other objects go by themselves."""
    changing = [step for step in steps if step.op != "same"]
    conf = [step for step in changing if step.type == CONFIG_MAP and CONF in _data(step.state)]
    users = [step for step in changing if step.type == SECRET and _is_acl(step)]
    sets = [step for step in changing if step.type == STATEFUL_SET]
    rest = [step for step in changing if step not in (*conf, *users, *sets)]
    result = [change for step in rest if step.type == NETWORK_POLICY for change in _network(step)]
    result += generic.changes(context, [step for step in rest if step.type != NETWORK_POLICY])
    updates = [step for step in (*conf, *users, *sets) if step.op in ("update", "replace")]
    result += generic.changes(context, [step for step in (*conf, *users, *sets) if step not in updates])
    if updates:
        result += _restart(updates)
    return result


def _data(state: State) -> dict[str, Any]:
    data = state.asked("data")
    return data if isinstance(data, dict) else {}


def _is_acl(step: Step) -> bool:
    metadata = step.state.asked("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else ""
    return "valkey" in step.name and ("acl" in step.name or "acl" in str(name))


def _restart(steps: list[Step]) -> list[Change]:
    reasons: list[str] = []
    result: list[Change] = []
    origin: Path_ = ("valkey",)
    urns = tuple(step.urn for step in steps)
    for step in steps:
        if step.type == CONFIG_MAP:
            old, new = (directives(str(_data(state).get(CONF, ""))) for state in (step.old, step.new))
            for name in sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)):
                reasons.append(f"{code(name)} {code(old.get(name, 'unset'))} to {code(new.get(name, 'unset'))}")
                origin = _ORIGINS.get(name, origin)
                result += _cost(step, name, old.get(name, ""), new.get(name, ""))
        elif step.type == SECRET:
            reasons.append("its users change")
    workload = next((step for step in steps if step.type == STATEFUL_SET), None)
    if workload is not None:
        reasons += _workload(workload)
    why = f": {'; '.join(reasons)}" if reasons else ""
    if workload is None:
        sentence = f"Valkey's configuration changes{why}"
    elif workload.op == "replace":
        fixed = ("volumeClaimTemplates", "selector", "serviceName")
        keys = codes(name for name in fixed if any(name in path for path in workload.changed))
        reason = f"; {keys} cannot change in place" if keys else ""
        sentence = f"Valkey is stopped and its StatefulSet made anew; its volumes stay{why}{reason}"
    elif any(path.startswith("spec.template") for path in workload.changed) or not workload.changed:
        sentence = f"Valkey restarts once{why}"
    else:
        sentence = f"Valkey's StatefulSet changes{why or ': ' + codes(workload.changed)}"
    return [Change(Risk.RESTART, "Valkey", "deployment", sentence, "valkey", origin, urns), *result]


def _cost(step: Step, name: str, old: str, new: str) -> list[Change]:
    """Directives that keep less than before."""
    found: tuple[Risk, str] | None = None
    if name == "maxmemory" and _bytes(new) < _bytes(old):
        found = (
            Risk.RETENTION_SHORTENED,
            f"less memory ({code(new)} instead of {code(old)}): keys with a TTL are evicted earlier",
        )
    elif name == "maxmemory-policy" and new.startswith("allkeys"):
        found = (Risk.DATA_LOSS, f"under {code(new)} keys **without expiry are evicted, too**, when memory is full")
    elif name == "appendonly" and new != "yes":
        found = (Risk.DATA_LOSS, "without the append-only file a crash **loses every write** since the last snapshot")
    elif name == "save" and new in ('""', "", "unset"):
        found = (Risk.RETENTION_SHORTENED, "no snapshots are taken any more")
    if found is None:
        return []
    risk, sentence = found
    return [Change(risk, "Valkey", "deployment", sentence, f"valkey {name}", _ORIGINS.get(name, ()), (step.urn,))]


def directives(text: str) -> Directives:
    """``valkey.conf`` as directive -> arguments; of a repeated one, all."""
    found: Directives = {}
    for line in text.splitlines():
        name, _, rest = line.strip().partition(" ")
        if name and not name.startswith("#"):
            found[name] = f"{found[name]}; {rest.strip()}" if name in found else rest.strip()
    return found


def _bytes(text: str) -> int:
    try:
        return memory_bytes(text)
    except ValueError:
        return int(text) if text.isdigit() else 0


def _workload(step: Step) -> list[str]:
    reasons = []
    for path in step.changed:
        leaf = path.rpartition(".")[2]
        # The checksum stands for the configuration, a request for its limit.
        if "config-checksum" in path or "volumeClaimTemplates" in path or ".requests." in path:
            continue
        old, new = (_at(state.inputs, path) for state in (step.old, step.new))
        if old == new:
            continue
        what = f"{leaf} limit" if ".limits." in path else leaf
        reasons.append(f"{plain(what)} {code(generic.shown(old))} to {code(generic.shown(new))}")
    return reasons


def _at(value: Any, path: str) -> Any:
    for quoted, name, index in re.findall(r'\["([^"]+)"\]|([^.\[\]]+)|\[(\d+)\]', path):
        if index:
            value = value[int(index)] if isinstance(value, list) and int(index) < len(value) else None
        else:
            value = value.get(quoted or name) if isinstance(value, dict) else None
    return value


def _network(step: Step) -> list[Change]:
    """A network policy shuts out whom it does not name, so that its deletion lets everybody in."""
    before, after = (_peers(state) for state in (step.old, step.new))
    if step.op == "delete":
        risk, sentence = (
            Risk.ACCESS_WIDENED,
            f"network policy {code(step.name)} is deleted: **everybody in the cluster** can connect",
        )
    elif step.op == "create":
        risk, sentence = (
            Risk.ACCESS_REVOKED,
            f"network policy {code(step.name)} is made: only whom it names can connect",
        )
    elif after - before:
        risk, sentence = (
            Risk.ACCESS_WIDENED,
            f"network policy {code(step.name)} lets more in: {codes(sorted(after - before))}",
        )
    elif before - after:
        risk, sentence = (
            Risk.ACCESS_REVOKED,
            f"network policy {code(step.name)} no longer lets in {codes(sorted(before - after))}",
        )
    else:
        risk, sentence = (
            Risk.RESTART,
            f"network policy {code(step.name)} changes: {codes(sorted(generic.changed_keys(step)))}",
        )
    return [Change(risk, STORE, step.name, sentence, step.name, (), (step.urn,))]


def _peers(state: State) -> set[str]:
    spec = state.asked("spec")
    found = set()
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for rule in (spec.get(direction) or []) if isinstance(spec, dict) else []:
            for peer in (rule.get(side) or [None]) if isinstance(rule, dict) else []:
                who = generic.shown(peer) if peer is not None else "everybody"
                found.add(f"{side} {who}")
    return found
