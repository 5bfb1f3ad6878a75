"""Network policies on Kubernetes, by whom they let in."""

from typing import Any

from tools.review.change import RatedChange
from tools.review.escape import code, codes
from tools.review.kinds import generic
from tools.review.preview import PreviewStep, ResourceState
from tools.review.risk import Risk

STORE = "Kubernetes"
Connections = set[tuple[str, str]]  # who, port


def changes(step: PreviewStep) -> list[RatedChange]:
    """A network policy shuts out whom it does not name, so that its deletion lets everybody in."""
    before, after = (_ways(state) for state in (step.old, step.new))
    policy = f"network policy {code(step.name)}"

    def change(risk: Risk, sentence: str) -> RatedChange:
        return RatedChange(risk, STORE, step.name, sentence, step.name, (), (step.urn,))

    if step.op == "delete":
        return [change(Risk.ACCESS_WIDENED, f"{policy} is deleted: **everybody in the cluster** can connect")]
    if step.op == "create":
        return [change(Risk.ACCESS_REVOKED, f"{policy} is created: only whom it names can connect")]
    result = []
    # On a port that no rule had, there was nothing to reach.
    known = {port for _, port in before}
    for ways, verb in ((after - before, "lets in"), (before - after, "no longer lets in")):
        for port in sorted({port for _, port in ways}):
            who = codes(sorted(name for name, found in ways if found == port))
            opened = Risk.ACCESS_WIDENED if port in known or not port else Risk.ADDITIVE
            risk = opened if verb == "lets in" else Risk.ACCESS_REVOKED
            where = f" on port {code(port)}" if port else ""
            result.append(change(risk, f"{policy} {verb} {who}{where}"))
    keys = codes(sorted(generic.changed_keys(step)))
    return result or [change(Risk.RESTART, f"{policy} changes: {keys}")]


def _ways(state: ResourceState) -> Connections:
    spec = state.declared("spec")
    found: Connections = set()
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for rule in (spec.get(direction) or []) if isinstance(spec, dict) else []:
            if not isinstance(rule, dict):
                continue
            ports = [str(port.get("port", "")) for port in rule.get("ports") or () if isinstance(port, dict)]
            for peer in rule.get(side) or [None]:
                who = _who(peer) if side == "from" else f"to {_who(peer)}"
                found |= {(who, port) for port in ports or [""]}
    return found


def _who(peer: Any) -> str:
    """A peer in words where it has one label; as it stands otherwise."""
    if peer is None:
        return "everybody"
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
    return generic.shown(peer)
