"""``stellaops:valkey:Streams`` against a running server: made once, found when lost, never deleted with entries by mistake."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from components.mapping import load
from components.valkey.component import streams_of
from tests.provider.base.harness import PluginClient, Props, Resource, stellaops
from tests.support.own_valkey import OwnValkey, own_valkey
from tests.support.provider import NOBODY, refreshed, refused, settings

TOKEN = "stellaops:valkey:Streams"
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


@pytest.fixture(scope="module")
def provider(server: OwnValkey) -> Iterator[PluginClient]:
    with stellaops(**settings(server.server)) as client:
        yield client


@pytest.fixture(scope="module")
def offline() -> Iterator[PluginClient]:
    """Configured for a server that does not run: whatever contacts one fails."""
    with stellaops(**settings(NOBODY)) as client:
        yield client


def props(streams: dict[str, list[str]], *, allow_data_loss: bool = False) -> Props:
    return {"streams": streams, "allowDataLoss": allow_data_loss}


def kept(streams: dict[str, list[str]]) -> Resource:
    """The resource after an ``up``."""
    return Resource(TOKEN, "valkey-streams", props(streams), props(streams))


def live(own: OwnValkey) -> dict[str, list[str]]:
    with own.client() as admin:
        return {key: sorted(group["name"] for group in admin.xinfo_groups(key)) for key in admin.keys("*")}


def test_the_streams_of_the_reference_have_a_group_for_each_consumer_and_the_two_named_ones(
    own: OwnValkey, provider: PluginClient
) -> None:
    provider.create(TOKEN, props(STREAMS))
    assert live(own) == {
        "scanner:events": ["export_center", "notifier", "policy", "timeline_indexer"],
        "concelier:drift": ["notifier", "policy", "scheduler"],
        "policy:evaluated": ["export_center", "findings", "notifier"],
        "scheduler:jobs": ["policy", "scanner"],
        "notify:delivery": ["audit", "notify-workers", "timeline_indexer"],
        "scanner:jobs": ["scanner-workers"],
    }


def test_a_new_group_counts_only_entries_that_exist(own: OwnValkey, provider: PluginClient) -> None:
    with own.client() as admin:
        for number in range(5):
            admin.xadd("scheduler:jobs", {"n": number})
        admin.xtrim("scheduler:jobs", maxlen=2, approximate=False)
        provider.create(TOKEN, props(STREAMS))
        (policy, _) = admin.xinfo_groups("scheduler:jobs")
        assert (policy["name"], policy["entries-read"], policy["lag"]) == ("policy", 3, 2), "drift would report a loss"


def test_making_them_again_keeps_entries_and_what_groups_have_read(own: OwnValkey, provider: PluginClient) -> None:
    created = provider.create(TOKEN, props(STREAMS))
    with own.client() as admin:
        for number in range(3):
            admin.xadd("scheduler:jobs", {"n": number})
        admin.xreadgroup("scanner", "worker", {"scheduler:jobs": ">"}, count=2)
        before = admin.xinfo_groups("scheduler:jobs")
        provider.create(TOKEN, props(STREAMS))
        provider.update(created, props(STREAMS))
        assert admin.xinfo_groups("scheduler:jobs") == before, "workers would do their jobs twice"
        assert admin.xlen("scheduler:jobs") == 3


def test_a_new_group_gets_what_was_added_before_it_existed(own: OwnValkey, provider: PluginClient) -> None:
    with own.client() as admin:
        admin.xadd("scanner:jobs", {"job": "early"})
        provider.create(TOKEN, props({"scanner:jobs": ["scanner-workers"]}))
        entries = admin.xreadgroup("scanner-workers", "worker", {"scanner:jobs": ">"})
    assert entries, "a job that was queued before the first pulumi up would never be done"


def test_a_stream_without_groups_is_made_too(own: OwnValkey, provider: PluginClient) -> None:
    provider.create(TOKEN, props({"lonely:stream": []}))
    assert live(own) == {"lonely:stream": []}


def test_a_refresh_finds_lost_streams_and_groups_and_an_update_makes_them(
    own: OwnValkey, provider: PluginClient
) -> None:
    created = provider.create(TOKEN, props(STREAMS))
    assert refreshed(provider, created) == created
    with own.client() as admin:
        admin.delete("scanner:jobs")
        admin.xgroup_destroy("scanner:events", "policy")
    found = refreshed(provider, created)
    assert provider.diff(found, props(STREAMS)).detailed == {
        'streams["scanner:jobs"]': "ADD",
        'streams["scanner:events"]': "UPDATE",
    }
    assert found.inputs["streams"] == found.outputs["streams"], "equal inputs would keep the engine from comparing"
    provider.update(found, props(STREAMS))
    assert refreshed(provider, created) == created


def test_a_refresh_without_streams_in_the_mapping_finds_no_difference(own: OwnValkey, provider: PluginClient) -> None:
    created = provider.create(TOKEN, props({"a:b": ["g"]}))
    emptied = provider.update(created, props({}))
    assert refreshed(provider, emptied).outputs["streams"] == {}, "every preview would create the resource again"


def test_a_server_that_lost_its_data_gets_all_streams_anew(own: OwnValkey, provider: PluginClient) -> None:
    created = provider.create(TOKEN, props(STREAMS))
    with own.client() as admin:
        admin.flushall()
    assert provider.refresh(created) is None


def test_a_stream_with_entries_is_not_deleted_unless_the_stack_allows_data_loss(
    own: OwnValkey, provider: PluginClient
) -> None:
    created = provider.create(TOKEN, props(STREAMS))
    with own.client() as admin:
        admin.xadd("notify:delivery", {"id": 1})
    with refused(r"notify:delivery \(1\).*allowDataLoss"):
        provider.delete(created)
    assert set(live(own)) == set(STREAMS), "all or nothing: a half-deleted set would confuse the next run"
    provider.delete(replace(created, outputs=props(STREAMS, allow_data_loss=True)))
    assert live(own) == {}


def test_empty_streams_are_deleted_and_deleting_again_is_no_error(own: OwnValkey, provider: PluginClient) -> None:
    created = provider.create(TOKEN, props(STREAMS))
    provider.delete(created)
    assert live(own) == {}
    provider.delete(created)


def test_a_stream_that_left_the_mapping_goes_when_it_is_empty(own: OwnValkey, provider: PluginClient) -> None:
    created = provider.create(TOKEN, props({"a:b": ["g"], "c:d": ["g"]}))
    provider.update(created, props({"c:d": ["g"]}))
    assert live(own) == {"c:d": ["g"]}


def test_a_group_with_unacknowledged_entries_is_kept_unless_the_stack_allows_data_loss(
    own: OwnValkey, provider: PluginClient
) -> None:
    created = provider.create(TOKEN, props({"a:b": ["g", "h"]}))
    with own.client() as admin:
        admin.xadd("a:b", {"n": 1})
        admin.xreadgroup("g", "worker", {"a:b": ">"})
    with refused("g of a:b has 1 entries"):
        provider.update(created, props({"a:b": ["h"]}))
    provider.update(created, props({"a:b": ["h"]}, allow_data_loss=True))
    assert live(own) == {"a:b": ["h"]}


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        pytest.param({"b:jobs": []}, "left of b:jobs has 1 entries", id="a group with pending entries"),
        pytest.param({}, "b:jobs", id="a stream with entries"),
        pytest.param({"b:jobs": ["left"], "a:text": []}, "a:text is a string", id="a key of another type"),
    ],
)
def test_an_update_that_is_refused_changes_nothing(
    own: OwnValkey, provider: PluginClient, after: dict[str, list[str]], reason: str
) -> None:
    resource = provider.create(TOKEN, props({"a:empty": ["reader"], "b:jobs": ["left"]}))
    with own.client() as admin:
        admin.set("a:text", "x")
        admin.xadd("b:jobs", {"n": "1"})
        admin.xreadgroup("left", "c", {"b:jobs": ">"})
    with refused(reason):
        provider.update(resource, props({"c:new": ["reader"], **after}))
    with own.client() as admin:
        admin.delete("a:text")
    assert live(own) == {"a:empty": ["reader"], "b:jobs": ["left"]}, "a mapping that is put back would look up to date"


def test_what_others_have_stays_if_an_update_was_refused_and_the_program_is_put_back(
    own: OwnValkey, provider: PluginClient
) -> None:
    before = provider.create(TOKEN, props({"a": ["g"], "b": []}))
    with own.client() as admin:
        admin.xadd("b", {"n": "1"})
        admin.xadd("theirs", {"n": "1"})
        admin.set("word", "theirs")
    for refused_edit in ({"a": ["g"], "theirs": ["g"], "new": []}, {"a": ["g"], "b": [], "word": []}):
        recorded, message = provider.try_update(before, props(refused_edit))
        assert "still hold entries: b" in message or "word is a string" in message, message
        put_back = provider.update(recorded, props({"a": ["g"], "b": []}, allow_data_loss=True))
        assert put_back.outputs["streams"] == {"a": ["g"], "b": []}
    with own.client() as admin:
        assert admin.xlen("theirs") == 1 and admin.get("word") == "theirs" and not admin.exists("new")


def test_a_key_of_another_type_in_a_streams_place_is_named(own: OwnValkey, provider: PluginClient) -> None:
    with own.client() as admin:
        admin.set("scheduler:jobs", "not a stream")
    with refused("scheduler:jobs is a string, not a stream"):
        provider.create(TOKEN, props(STREAMS))
    with refused("scheduler:jobs is a string, not a stream"):
        provider.refresh(kept(STREAMS))


def test_a_full_server_is_told_in_one_line_with_what_to_do(own: OwnValkey, provider: PluginClient) -> None:
    with own.client() as admin:
        admin.config_set("maxmemory", "1")
        try:
            with refused("raise maxmemory"):
                provider.create(TOKEN, props(STREAMS))
        finally:
            admin.config_set("maxmemory", str(2 << 30))


def test_an_unreachable_server_is_told_in_one_line(offline: PluginClient) -> None:
    with refused("valkeyHost"):
        offline.refresh(kept(STREAMS))


def test_a_preview_contacts_no_server_and_has_all_outputs(offline: PluginClient) -> None:
    wanted = props({"a:b": ["g"], "c:d": ["h"]})
    assert offline.create(TOKEN, wanted, preview=True).outputs == wanted
    assert offline.update(kept({"a:b": ["g"]}), wanted, preview=True).outputs == wanted


def test_each_stream_that_changes_is_named(offline: PluginClient) -> None:
    old = kept({"a:b": ["g", "h"], "c": [], "gone": ["g"]})
    found = offline.diff(old, props({"a:b": ["g"], "c": [], "new": []}))
    assert found.detailed == {'streams["a:b"]': "UPDATE", "streams.gone": "DELETE", "streams.new": "ADD"}
    assert found.replaces == [], "a replaced resource would delete every stream"
    assert offline.diff(old, props({"a:b": ["h", "g"], "c": [], "gone": ["g"]})).detailed == {}, "groups have no order"


def test_leave_to_lose_data_is_an_update_in_place(offline: PluginClient) -> None:
    found = offline.diff(kept({"a": []}), props({"a": []}, allow_data_loss=True))
    assert list(found.detailed) == ["allowDataLoss"] and found.replaces == []


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        ({"streams": {"a:b": ["g", ""]}}, 'streams["a:b"][1]'),
        ({"streams": {"a": ["stellaops-storage"]}}, "streams.a[0]"),
        ({"streams": {"a": "g"}}, "streams.a"),
        ({"streams": {"a": [1]}}, "streams.a[0]"),
        ({"streams": [], "allowDataLoss": False}, "streams"),
        ({"allowDataLoss": True}, "streams"),
        ({"streams": {}, "allowDataLoss": "yes"}, "allowDataLoss"),
        ({"streams": {}, "allow_data_loss": True}, "allow_data_loss"),
    ],
)
def test_a_mistake_is_refused_in_the_preview_where_it_stands(offline: PluginClient, wanted: Props, place: str) -> None:
    _, failures = offline.check(TOKEN, wanted)
    assert [text.partition(": ")[0] for text in failures] == [place]


def test_an_import_takes_the_named_streams_with_all_their_groups(own: OwnValkey, provider: PluginClient) -> None:
    provider.create(TOKEN, props({"a:b": ["h", "g"], "c": [], "others": ["g"]}))
    found = provider.imported(TOKEN, "a:b, c")
    assert found is not None
    assert found.inputs == {"streams": {"a:b": ["g", "h"], "c": []}, "allowDataLoss": False}
    assert provider.diff(found, props({"a:b": ["h", "g"], "c": []})).detailed == {}, (
        "the first up would change something"
    )
    with refused("no such stream: lost"):
        provider.imported(TOKEN, "a:b,lost")
