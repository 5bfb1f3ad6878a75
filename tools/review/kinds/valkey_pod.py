"""Sentences for the differences between two versions of Valkey's pod template."""

from dataclasses import dataclass, field
from typing import Any

from tools.review.escape import code, codes
from tools.review.kinds import generic
from tools.review.preview import PreviewStep, ResourceState

_SIDECARS = {
    "sentinel": "Sentinel {} beside each server",
    "exporter": "the exporter {} beside each server",
    "tls-reload": "",
}


@dataclass
class PodDifferences:
    """``reasons`` come from the mapping or the config; ``limits`` and ``rest`` may follow from other changes.

    ``switched``: whether TLS, Sentinel or another container is added or removed, which changes many other settings.
    ``clear``: whether connections are no longer encrypted.
    """

    reasons: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)
    switched: bool = False
    clear: bool = False


def differences(workload: PreviewStep) -> PodDifferences:
    found = PodDifferences()
    if workload.op not in ("update", "replace"):
        return found
    old, new = (_pod(state) for state in (workload.old, workload.new))
    _servers(found, workload)
    tls = ["tls" in _by_name(pod.get("volumes")) for pod in (old, new)]
    if tls[0] != tls[1]:
        found.switched, found.clear = True, tls[0]
        found.reasons.append("TLS is switched off" if tls[0] else "TLS is switched on: clients must connect with TLS")
    before, after = (_by_name(pod.get("containers")) for pod in (old, new))
    for name in sorted(before.keys() ^ after.keys()):
        found.switched = True
        if words := _SIDECARS.get(name, f"container {code(name)} {{}} beside each server"):
            found.reasons.append(words.format("runs" if name in after else "no longer runs"))
    images = {(before[name].get("image"), after[name].get("image")) for name in before.keys() & after.keys()}
    found.reasons += [
        f"image from {code(one)} to {code(other)}" for one, other in sorted(images, key=str) if one != other
    ]
    for name in sorted(before.keys() & after.keys()):
        _limits(found, name, before[name], after[name])
    if not found.switched:
        _rest(found, old, new, before, after)
    return found


def _servers(found: PodDifferences, workload: PreviewStep) -> None:
    was, will = (int(_spec(state).get("replicas") or 1) for state in (workload.old, workload.new))
    if was != will:
        found.reasons.append(f"{will} server{'' if will == 1 else 's'} instead of {was}")


def _limits(found: PodDifferences, name: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    one, other = ((item.get("resources") or {}).get("limits") or {} for item in (before, after))
    for key in sorted(one.keys() | other.keys()):
        if one.get(key) != other.get(key):
            whose = "" if name == "valkey" else f" of {code(name)}"
            found.limits.append(
                f"{key} limit{whose} from {code(generic.shown(one.get(key)))} to {code(generic.shown(other.get(key)))}"
            )


def _rest(found: PodDifferences, old: dict[str, Any], new: dict[str, Any], before: Any, after: Any) -> None:
    for key in sorted((old.keys() | new.keys()) - {"containers", "volumes"}):
        if old.get(key) != new.get(key):
            one, other = (generic.shown(pod.get(key)) for pod in (old, new))
            short = len(one) + len(other) < 60
            found.rest.append(f"{code(key)} from {code(one)} to {code(other)}" if short else f"{code(key)} changes")
    for name in sorted(before.keys() & after.keys()):
        one, other = before[name], after[name]
        keys = sorted(
            key for key in (one.keys() | other.keys()) - {"image", "resources"} if one.get(key) != other.get(key)
        )
        if keys:
            found.rest.append(f"{codes(keys)} of {code(name)}")
    if _by_name(old.get("volumes")) != _by_name(new.get("volumes")):
        found.rest.append("its volumes change")


def _spec(state: ResourceState) -> dict[str, Any]:
    spec = state.declared("spec")
    return spec if isinstance(spec, dict) else {}


def _pod(state: ResourceState) -> dict[str, Any]:
    template = _spec(state).get("template")
    pod = template.get("spec") if isinstance(template, dict) else None
    return pod if isinstance(pod, dict) else {}


def _by_name(items: Any) -> dict[str, dict[str, Any]]:
    return {str(item.get("name")): item for item in items or () if isinstance(item, dict)}
