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
    """``reasons`` come from the mapping or the config; ``limits`` and ``other_settings`` may follow from them.

    ``feature_switched``: TLS or a container such as Sentinel is added or removed, which changes many other settings.
    ``encryption_removed``: connections are no longer encrypted.
    """

    reasons: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    other_settings: list[str] = field(default_factory=list)
    feature_switched: bool = False
    encryption_removed: bool = False


def differences(workload: PreviewStep) -> PodDifferences:
    found = PodDifferences()
    if workload.op not in ("update", "replace"):
        return found
    old, new = (_pod(state) for state in (workload.old, workload.new))
    _servers(found, workload)
    had_tls, has_tls = ("tls" in _by_name(pod.get("volumes")) for pod in (old, new))
    if had_tls != has_tls:
        found.feature_switched, found.encryption_removed = True, had_tls
        found.reasons.append("TLS is switched off" if had_tls else "TLS is switched on: clients must connect with TLS")
    before, after = (_by_name(pod.get("containers")) for pod in (old, new))
    for name in sorted(before.keys() ^ after.keys()):
        found.feature_switched = True
        if template := _SIDECARS.get(name, f"container {code(name)} {{}} beside each server"):
            found.reasons.append(template.format("runs" if name in after else "no longer runs"))
    images = {(before[name].get("image"), after[name].get("image")) for name in before.keys() & after.keys()}
    found.reasons += [
        f"image from {code(old_image)} to {code(new_image)}"
        for old_image, new_image in sorted(images, key=str)
        if old_image != new_image
    ]
    for name in sorted(before.keys() & after.keys()):
        _limits(found, name, before[name], after[name])
    if not found.feature_switched:
        _other_settings(found, old, new, before, after)
    return found


def _servers(found: PodDifferences, workload: PreviewStep) -> None:
    old, new = (int(_spec(state).get("replicas") or 1) for state in (workload.old, workload.new))
    if old != new:
        found.reasons.append(f"{new} server{'' if new == 1 else 's'} instead of {old}")


def _limits(found: PodDifferences, name: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    old, new = ((item.get("resources") or {}).get("limits") or {} for item in (before, after))
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            container = "" if name == "valkey" else f" of {code(name)}"
            old_limit, new_limit = (code(generic.as_text(limits.get(key))) for limits in (old, new))
            found.limits.append(f"{key} limit{container} from {old_limit} to {new_limit}")


def _other_settings(found: PodDifferences, old: dict[str, Any], new: dict[str, Any], before: Any, after: Any) -> None:
    for key in sorted((old.keys() | new.keys()) - {"containers", "volumes"}):
        if old.get(key) != new.get(key):
            old_text, new_text = (generic.as_text(pod.get(key)) for pod in (old, new))
            short = len(old_text) + len(new_text) < 60
            change = f" from {code(old_text)} to {code(new_text)}" if short else " changes"
            found.other_settings.append(f"{code(key)}{change}")
    for name in sorted(before.keys() & after.keys()):
        old_container, new_container = before[name], after[name]
        keys = sorted(
            key
            for key in (old_container.keys() | new_container.keys()) - {"image", "resources"}
            if old_container.get(key) != new_container.get(key)
        )
        if keys:
            found.other_settings.append(f"{codes(keys)} of {code(name)}")
    if _by_name(old.get("volumes")) != _by_name(new.get("volumes")):
        found.other_settings.append("its volumes change")


def _spec(state: ResourceState) -> dict[str, Any]:
    spec = state.declared("spec")
    return spec if isinstance(spec, dict) else {}


def _pod(state: ResourceState) -> dict[str, Any]:
    template = _spec(state).get("template")
    pod = template.get("spec") if isinstance(template, dict) else None
    return pod if isinstance(pod, dict) else {}


def _by_name(items: Any) -> dict[str, dict[str, Any]]:
    return {str(item.get("name")): item for item in items or () if isinstance(item, dict)}
