"""What a change of an object on Kubernetes means, where no recording shows it."""

import json
from typing import Any

import pytest

from tests.tools.review.synthetic import event, only, sentences, verdict
from tools.review.risk import Risk
from tools.review.tokens import (
    CONFIG_MAP,
    CONTRACT_OBJECTS,
    CREDENTIAL,
    CRON_JOB,
    DISRUPTION_BUDGET,
    JOB,
    NETWORK_POLICY,
    SECRET,
    STATEFUL_SET,
    VALKEY,
)


@pytest.mark.parametrize(
    ("before", "after", "risk"),
    [
        ("maxmemory-policy volatile-lru", "maxmemory-policy allkeys-lru", Risk.DATA_LOSS),
        ("appendonly yes", "appendonly no", Risk.DATA_LOSS),
        ("maxmemory 2gb", "maxmemory 1gb", Risk.RETENTION_SHORTENED),
        ("maxmemory 2gb", "maxmemory 4gb", Risk.RESTART),
    ],
)
def test_what_a_directive_costs(before: str, after: str, risk: Risk) -> None:
    found = verdict(
        event("update", CONFIG_MAP, "valkey-conf", {"data": {"valkey.conf": before}}, {"data": {"valkey.conf": after}}),
        event(
            "update",
            STATEFUL_SET,
            "valkey",
            {"spec": {}},
            {"spec": {"a": 1}},
            changed=["spec.template.metadata.annotations"],
        ),
    )
    assert found.risk == risk
    name, old = before.split()
    assert any(
        text == f"Valkey restarts once: `{name}` from `{old}` to `{after.split()[1]}`" for _, text in sentences(found)
    )


def test_network_policies_are_told_by_whom_they_let_in() -> None:
    def policy(*modules: str) -> dict[str, Any]:
        peers = [{"podSelector": {"matchLabels": {"app": name}}} for name in modules]
        return {"spec": {"ingress": [{"from": peers}]}}

    assert only(event("update", NETWORK_POLICY, "valkey", policy("a"), policy("a", "b")))[0] == Risk.ACCESS_WIDENED
    assert only(event("update", NETWORK_POLICY, "valkey", policy("a", "b"), policy("a")))[0] == Risk.ACCESS_REVOKED
    assert only(event("delete", NETWORK_POLICY, "valkey", policy("a")))[0] == Risk.ACCESS_WIDENED


def _set(when_deleted: str = "Retain", replicas: int = 1, **pod: object) -> dict[str, Any]:
    policy = {"whenDeleted": when_deleted, "whenScaled": "Retain"}
    spec = {"containers": [{"name": "valkey", "image": "valkey:1"}], **pod}
    return {"spec": {"replicas": replicas, "persistentVolumeClaimRetentionPolicy": policy, "template": {"spec": spec}}}


def _updated(old: dict[str, Any], new: dict[str, Any], path: str = "spec.template.spec.containers") -> dict[str, Any]:
    return event("update", STATEFUL_SET, "valkey", old, new, changed=[path])


def test_volumes_that_go_with_valkey_are_data_loss() -> None:
    assert only(event("delete", STATEFUL_SET, "valkey", _set("Delete")))[0] == Risk.DATA_LOSS
    assert only(event("delete", STATEFUL_SET, "valkey", _set()))[0] == Risk.ACCESS_REVOKED
    assert only(event("replace", STATEFUL_SET, "valkey", _set("Delete"), _set("Delete")))[0] == Risk.DATA_LOSS
    assert only(event("replace", STATEFUL_SET, "valkey", _set(), _set()))[0] == Risk.RESTART


def test_what_becomes_of_volumes_restarts_nothing() -> None:
    path = "spec.persistentVolumeClaimRetentionPolicy.whenDeleted"
    assert only(_updated(_set("Delete"), _set(), path))[0] == Risk.NONE
    assert only(_updated(_set(), _set("Delete"), path))[0] == Risk.ACCESS_WIDENED


def test_another_image_restarts_servers_one_after_the_other() -> None:
    new = _set(replicas=3, containers=[{"name": "valkey", "image": "valkey:2"}])
    told = only(_updated(_set(replicas=3), new))
    assert told == (Risk.RESTART, "Valkey's servers restart one after the other: image from `valkey:1` to `valkey:2`")


def test_encryption_that_is_switched_off_widens_access() -> None:
    found = sentences(verdict(_updated(_set(volumes=[{"name": "tls"}]), _set())))
    assert (Risk.RESTART, "Valkey restarts once: TLS is switched off") in found
    assert any(risk == Risk.ACCESS_WIDENED and "no longer encrypted" in text for risk, text in found)


def test_users_alone_restart_nothing() -> None:
    acl = event("update", SECRET, "valkey-acl", {"data": {"users.acl": "a"}}, {"data": {"users.acl": "b"}})
    job = event("replace", JOB, "valkey-apply", {"spec": {"a": 1}}, {"spec": {"a": 2}})
    assert only(acl, job) == (Risk.NONE, "Valkey's servers reload their users without a restart")


def test_a_password_that_is_added_renews_none() -> None:
    old, new = ({"data": dict.fromkeys(found, "[secret]")} for found in (("node",), ("node", "exporter")))
    secret = event("update", SECRET, "valkey-passwords", old, new)
    pod = _set(containers=[{"name": "valkey", "image": "valkey:1"}, {"name": "exporter", "image": "exporter:1"}])
    assert only(secret, _updated(_set(), pod)) == (
        Risk.RESTART, "Valkey restarts once: the exporter runs beside each server",
    )  # fmt: skip
    own = event("replace", f"{VALKEY}${CREDENTIAL}", "valkey-node", {"user": "valkey-node"}, {"user": "valkey-node"})
    told = sentences(verdict(secret, own, _updated(_set(), _set())))
    assert (Risk.RESTART, "Valkey restarts once: the passwords of its internal users are rotated") in told


def test_network_policies_are_told_by_port() -> None:
    def policy(*ports: int) -> dict[str, Any]:
        peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "scanner"}}}]
        return {"spec": {"ingress": [{"from": peers, "ports": [{"port": port} for port in ports]}]}}

    told = only(event("update", NETWORK_POLICY, "valkey", policy(6379), policy(6379, 26379)))
    assert told == (
        Risk.ADDITIVE,
        "network policy `valkey` allows connections from `namespace scanner` on port `26379`",
    )


def test_timetables_are_told_with_both_times() -> None:
    def at(schedule: str, **more: object) -> dict[str, Any]:
        return {"spec": {"schedule": schedule, **more}}

    told = only(event("update", CRON_JOB, "valkey-trim", at("17 3 * * *"), at("17 4 * * *")))
    assert told == (Risk.NONE, "`valkey-trim` runs at `17 4 * * *` instead of `17 3 * * *`")
    assert (
        only(event("update", CRON_JOB, "valkey-trim", at("1 * * * *"), at("1 * * * *", suspend=True)))[0]
        == Risk.RESTART
    )
    assert only(event("delete", CRON_JOB, "valkey-trim", at("1 * * * *"))) == (
        Risk.RESTART, "`valkey-trim` no longer runs (previously at `1 * * * *`)",
    )  # fmt: skip


def test_a_disruption_budget_is_told_by_how_many_may_go() -> None:
    old, new = ({"spec": {"maxUnavailable": count}} for count in (1, 2))
    told = only(event("update", DISRUPTION_BUDGET, "valkey", old, new))
    assert told == (Risk.RESTART, "up to `2` server(s) of `valkey` can be evicted at the same time instead of `1`")


def _module(op: str, kind: str, module: str, old: object = None, new: object = None) -> dict[str, Any]:
    sides = ({"data": side} if side is not None else None for side in (old, new))
    return event(op, f"{CONTRACT_OBJECTS}${kind}", f"stellaops-storage-{module}", *sides)


def test_objects_of_all_modules_are_one_line() -> None:
    text = [
        _module("update", CONFIG_MAP, f"m-{n}", {"STELLAOPS_CONTRACT": "a"}, {"STELLAOPS_CONTRACT": "b"})
        for n in range(30)
    ]
    assert only(*text) == (
        Risk.NONE,
        "ConfigMaps of `m_0`, `m_1`, `m_10`, `m_11`, `m_12` and 25 more are updated",
    )


def test_another_address_asks_services_to_restart() -> None:
    told = only(
        _module("update", CONFIG_MAP, "scanner", {"PGHOST": "a", "X": "1"}, {"PGHOST": "b", "X": "1", "Y": "2"})
    )
    assert told == (Risk.RESTART, "ConfigMap of `scanner` is changed: `PGHOST`; services must restart to use it")


def test_objects_that_go_alone_are_missed_and_with_their_module_are_not() -> None:
    gone = [_module("delete", kind, "scanner", {}) for kind in (CONFIG_MAP, SECRET)]
    assert only(*gone)[0] == Risk.ACCESS_REVOKED
    found = sentences(verdict(*gone, event("delete", CREDENTIAL, "scanner", {"user": "scanner"})))
    assert (Risk.NONE, "ConfigMap and Secret of `scanner` are deleted with the module") in found


def test_a_renewed_password_says_who_restarts_only_once() -> None:
    found = sentences(
        verdict(
            _module("update", SECRET, "scanner", {"PGPASSWORD": "[secret]"}, {"PGPASSWORD": "[secret]"}),
            event("replace", CREDENTIAL, "scanner", {"user": "scanner", "rotate": 1}, {"user": "scanner", "rotate": 2}),
        )
    )
    assert [risk for risk, _ in found] == [Risk.NONE, Risk.RESTART]


def test_queues_that_are_trimmed_earlier_are_shorter_retention() -> None:
    def plan(days: int) -> dict[str, Any]:
        rules = [{"pattern": "queue:*", "after_ms": days * 86_400_000, "keep_unprocessed": True}]
        return {"data": {"plan.json": json.dumps({"trimming": rules})}}

    found = sentences(verdict(event("update", CONFIG_MAP, "valkey-maintenance", plan(7), plan(1))))
    what = "acknowledged entries of `queue:*` are kept for 1 day instead of 7 days"
    assert (Risk.RETENTION_SHORTENED, what) in found
