"""Network policies on Kubernetes, described by the connections that they allow."""

from typing import Any, NamedTuple

from tools.review.change import RatedChange
from tools.review.escape import code, codes
from tools.review.kinds import generic
from tools.review.preview import PreviewStep, ResourceState
from tools.review.risk import Risk

STORE = "Kubernetes"


class Connection(NamedTuple):
    """An allowed connection; ``direction`` is ``from`` or ``to``, ``port`` is empty for all ports."""

    direction: str
    port: str
    peer: str


def changes(step: PreviewStep) -> list[RatedChange]:
    """Describe one policy. The pods that it selects accept only listed connections, so deleting it widens access."""
    before, after = (_connections(state) for state in (step.old, step.new))
    policy = f"network policy {code(step.name)}"

    def change(risk: Risk, sentence: str) -> RatedChange:
        return RatedChange(risk, STORE, step.name, sentence, step.name, (), (step.urn,))

    if step.op == "delete":
        return [change(Risk.ACCESS_WIDENED, f"{policy} is deleted: **every pod in the cluster** can connect")]
    if step.op == "create":
        return [change(Risk.ACCESS_REVOKED, f"{policy} is created: only the peers that it lists can connect")]
    result = []
    # Allowing a port that no rule listed before does not widen access to an existing service.
    listed_ports = {connection.port for connection in before}
    for connections, verb in ((after - before, "allows"), (before - after, "no longer allows")):
        for direction, port in sorted({(item.direction, item.port) for item in connections}):
            peers = codes(sorted(item.peer for item in connections if item[:2] == (direction, port)))
            widened = Risk.ACCESS_WIDENED if port in listed_ports or not port else Risk.ADDITIVE
            risk = widened if verb == "allows" else Risk.ACCESS_REVOKED
            where = f" on port {code(port)}" if port else ""
            result.append(change(risk, f"{policy} {verb} connections {direction} {peers}{where}"))
    keys = codes(sorted(generic.changed_keys(step)))
    return result or [change(Risk.RESTART, f"{policy} changes: {keys}")]


def _connections(state: ResourceState) -> set[Connection]:
    spec = state.declared("spec")
    found: set[Connection] = set()
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for rule in (spec.get(direction) or []) if isinstance(spec, dict) else []:
            if not isinstance(rule, dict):
                continue
            ports = [str(port.get("port", "")) for port in rule.get("ports") or () if isinstance(port, dict)]
            for peer in rule.get(side) or [None]:
                found |= {Connection(side, port, _peer(peer)) for port in ports or [""]}
    return found


def _peer(peer: Any) -> str:
    """A peer as ``namespace NAME`` or ``pods NAME`` if it has one well-known label, else as JSON."""
    if peer is None:
        return "all peers"
    if isinstance(peer, dict) and len(peer) == 1:
        [(kind, selector)] = peer.items()
        labels = selector.get("matchLabels") if isinstance(selector, dict) and len(selector) == 1 else None
        if isinstance(labels, dict) and kind in ("namespaceSelector", "podSelector"):
            noun = "namespace" if kind == "namespaceSelector" else "pods"
            name = (
                labels.get("kubernetes.io/metadata.name")
                if noun == "namespace"
                else labels.get("app.kubernetes.io/name")
            )
            if name:
                return f"{noun} {name}"
    return generic.as_text(peer)
