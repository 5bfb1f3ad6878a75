"""``ValkeyStreams`` against a running server: made once, found when lost, never deleted with entries by mistake."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.mapping import load
from components.valkey.component import streams_of
from provider.errors import ProviderError
from provider.valkey.streams_resource import ValkeyStreamsProvider
from tests.support.own_valkey import OwnValkey, own_valkey

ROOT = Path(__file__).parents[3]
MAPPING = load(ROOT / "schema-mapping.yaml")
STREAMS = streams_of(MAPPING)


@pytest.fixture(scope="module")
def server() -> Iterator[OwnValkey]:
    with own_valkey(MAPPING, []) as own:
        yield own


@pytest.fixture
def own(server: OwnValkey) -> OwnValkey:
    with server.client() as admin:
        admin.flushall()
    return server


def provider_of(own: OwnValkey, **changes: Any) -> Any:
    provider = ValkeyStreamsProvider()
    provider._server = replace(own.server, **changes)
    return provider


def props(streams: dict[str, list[str]], allow_data_loss: bool = False) -> dict[str, Any]:
    return {"streams": streams, "allow_data_loss": allow_data_loss}


def live(own: OwnValkey) -> dict[str, list[str]]:
    with own.client() as admin:
        return {key: sorted(group["name"] for group in admin.xinfo_groups(key)) for key in admin.keys("*")}


def test_the_streams_of_the_reference_have_a_group_for_each_consumer_and_the_two_named_ones(own: OwnValkey) -> None:
    provider_of(own).create(props(STREAMS))
    assert live(own) == {
        "scanner:events": ["export_center", "notifier", "policy", "timeline_indexer"],
        "concelier:drift": ["notifier", "policy", "scheduler"],
        "policy:evaluated": ["export_center", "findings", "notifier"],
        "scheduler:jobs": ["policy", "scanner"],
        "notify:delivery": ["audit", "notify-workers", "timeline_indexer"],
        "scanner:jobs": ["scanner-workers"],
    }


def test_making_them_again_keeps_entries_and_what_groups_have_read(own: OwnValkey) -> None:
    provider = provider_of(own)
    created = provider.create(props(STREAMS))
    with own.client() as admin:
        for number in range(3):
            admin.xadd("scheduler:jobs", {"n": number})
        admin.xreadgroup("scanner", "worker", {"scheduler:jobs": ">"}, count=2)
        before = admin.xinfo_groups("scheduler:jobs")
        provider.create(props(STREAMS))
        provider.update(created.id, created.outs, props(STREAMS))
        assert admin.xinfo_groups("scheduler:jobs") == before, "workers would do their jobs twice"
        assert admin.xlen("scheduler:jobs") == 3


def test_a_new_group_gets_what_was_added_before_it_existed(own: OwnValkey) -> None:
    with own.client() as admin:
        admin.xadd("scanner:jobs", {"job": "early"})
        provider_of(own).create(props({"scanner:jobs": ["scanner-workers"]}))
        entries = admin.xreadgroup("scanner-workers", "worker", {"scanner:jobs": ">"})
    assert entries, "a job that was queued before the first pulumi up would never be done"


def test_a_stream_without_groups_is_made_too(own: OwnValkey) -> None:
    provider_of(own).create(props({"lonely:stream": []}))
    assert live(own) == {"lonely:stream": []}


def test_a_refresh_finds_lost_streams_and_groups_and_an_update_makes_them(own: OwnValkey) -> None:
    provider = provider_of(own)
    created = provider.create(props(STREAMS))
    assert provider.read(created.id, created.outs).outs == created.outs
    with own.client() as admin:
        admin.delete("scanner:jobs")
        admin.xgroup_destroy("scanner:events", "policy")
    found = provider.read(created.id, created.outs)
    assert provider.diff(created.id, found.outs, props(STREAMS)).changes
    assert "scanner:jobs" not in found.outs["streams"] and "policy" not in found.outs["streams"]["scanner:events"]
    provider.update(created.id, found.outs, props(STREAMS))
    assert provider.read(created.id, created.outs).outs == created.outs


def test_a_server_that_lost_its_data_gets_all_streams_anew(own: OwnValkey) -> None:
    provider = provider_of(own)
    created = provider.create(props(STREAMS))
    with own.client() as admin:
        admin.flushall()
    assert provider.read(created.id, created.outs).id == ""


def test_a_stream_with_entries_is_not_deleted_unless_the_stack_allows_data_loss(own: OwnValkey) -> None:
    provider = provider_of(own)
    created = provider.create(props(STREAMS))
    with own.client() as admin:
        admin.xadd("notify:delivery", {"id": 1})
    with pytest.raises(ProviderError, match=r"notify:delivery \(1\).*allowDataLoss"):
        provider.delete(created.id, created.outs)
    assert set(live(own)) == set(STREAMS), "all or nothing: a half-deleted set would confuse the next run"
    provider.delete(created.id, props(STREAMS, allow_data_loss=True))
    assert live(own) == {}


def test_empty_streams_are_deleted_and_deleting_again_is_no_error(own: OwnValkey) -> None:
    provider = provider_of(own)
    created = provider.create(props(STREAMS))
    provider.delete(created.id, created.outs)
    assert live(own) == {}
    provider.delete(created.id, created.outs)


def test_a_stream_that_left_the_mapping_goes_when_it_is_empty(own: OwnValkey) -> None:
    provider = provider_of(own)
    created = provider.create(props({"a:b": ["g"], "c:d": ["g"]}))
    provider.update(created.id, created.outs, props({"c:d": ["g"]}))
    assert live(own) == {"c:d": ["g"]}


def test_a_group_with_unacknowledged_entries_is_kept_unless_the_stack_allows_data_loss(own: OwnValkey) -> None:
    provider = provider_of(own)
    created = provider.create(props({"a:b": ["g", "h"]}))
    with own.client() as admin:
        admin.xadd("a:b", {"n": 1})
        admin.xreadgroup("g", "worker", {"a:b": ">"})
    with pytest.raises(ProviderError, match="g of a:b has 1 entries"):
        provider.update(created.id, created.outs, props({"a:b": ["h"]}))
    provider.update(created.id, created.outs, props({"a:b": ["h"]}, allow_data_loss=True))
    assert live(own) == {"a:b": ["h"]}


def test_a_key_of_another_type_in_a_streams_place_is_named(own: OwnValkey) -> None:
    with own.client() as admin:
        admin.set("scheduler:jobs", "not a stream")
    with pytest.raises(ProviderError, match="scheduler:jobs is a string, not a stream"):
        provider_of(own).create(props(STREAMS))
    with pytest.raises(ProviderError, match="scheduler:jobs is a string, not a stream"):
        provider_of(own).read("valkey-streams", props(STREAMS))


def test_a_full_server_is_told_in_one_line_with_what_to_do(own: OwnValkey) -> None:
    with own.client() as admin:
        admin.config_set("maxmemory", "1")
        try:
            with pytest.raises(ProviderError, match="raise maxmemory"):
                provider_of(own).create(props(STREAMS))
        finally:
            admin.config_set("maxmemory", str(2 << 30))


def test_an_unreachable_server_is_told_in_one_line(own: OwnValkey) -> None:
    with pytest.raises(ProviderError, match="valkeyHost") as caught:
        provider_of(own, port=1).read("valkey-streams", props(STREAMS))
    assert "\n" not in str(caught.value)
