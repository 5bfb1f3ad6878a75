"""What the engine printed is read in both forms, and what is no preview is told."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.review import recording, synthetic
from tools.review.errors import ReviewError
from tools.review.preview import SECRET, parse
from tools.review.tokens import BUCKET, ROLE


def test_both_forms_of_one_preview_tell_the_same_steps() -> None:
    plain, events = (parse(recording.text(name)) for name in ("read-added-plain", "read-added"))
    assert {(step.op, step.urn) for step in plain.changes} == {(step.op, step.urn) for step in events.changes}
    assert plain.counts == events.counts and (plain.project, plain.stack) == (events.project, events.stack)
    assert events.complete and not plain.complete, "only the events have unchanged resources and new outputs"


def test_secrets_are_a_word_whatever_their_form() -> None:
    wrapped = {
        "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
        "ciphertext": "x",
        "plaintext": '"y"',
    }
    found = synthetic.preview(synthetic.event("update", ROLE, "scanner", {"password": wrapped}, {"password": SECRET}))
    assert [found.steps[0].old.inputs, found.steps[0].new.inputs] == [{"password": SECRET}] * 2


def test_the_sdks_own_properties_are_no_change() -> None:
    found = synthetic.verdict(
        synthetic.event(
            "update", BUCKET, "blobs", {"__provider": "a", "bucket": "blobs"}, {"__provider": "b", "bucket": "blobs"}
        )
    )
    assert "__provider" not in json.dumps(found.report())


def test_a_replacement_is_one_step_however_many_the_engine_takes() -> None:
    events = [
        synthetic.event(op, BUCKET, "blobs", {"bucket": "a"}, {"bucket": "b"})
        for op in ("create-replacement", "replace")
    ]
    found = synthetic.preview(*events, synthetic.event("delete-replaced", BUCKET, "blobs", {"bucket": "a"}))
    assert found.counts == {"replace": 1}
    assert found.steps[0].old.inputs == {"bucket": "a"} and found.steps[0].new.inputs == {"bucket": "b"}


def test_what_an_earlier_run_left_to_delete_does_not_hide_what_happens_now() -> None:
    found = synthetic.preview(
        synthetic.event("delete", BUCKET, "blobs", {"bucket": "a"}),
        synthetic.event("same", BUCKET, "blobs", {"bucket": "a"}, {"bucket": "a"}),
    )
    assert found.counts == {}


def test_words_around_the_documents_are_passed_over() -> None:
    text = f"Previewing {{not JSON}}\n{synthetic.engine_output()}warning: a new version is there\n"
    assert parse(text, "dev").errors == []


def test_an_engine_that_was_stopped_is_a_failed_preview() -> None:
    text = synthetic.engine_output(synthetic.event("create", BUCKET, "blobs", None, {"bucket": "blobs"})).rsplit(
        "\n", 2
    )[0]
    assert "stopped" in parse(text, "dev").errors[0], "half a preview must not pass as a whole one"


def test_a_failure_without_a_message_is_still_a_failure() -> None:
    assert synthetic.preview(result="failed").errors


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "{}", '{"some": "document"}'])
def test_what_is_no_preview_is_refused(text: str) -> None:
    with pytest.raises(ReviewError, match=r"dev (contains no JSON|is JSON but not a preview)"):
        parse(text, "dev")


@pytest.mark.parametrize("cut", [40, -40])
def test_a_damaged_event_is_never_passed_over(cut: int) -> None:
    lines = synthetic.engine_output(synthetic.event("delete", BUCKET, "blobs", {"bucket": "blobs"})).splitlines()
    lines[1] = lines[1][:cut]
    with pytest.raises(ReviewError, match="damaged at line 2"):
        parse("\n".join(lines), "dev")


def test_deep_nesting_is_no_crash() -> None:
    with pytest.raises(ReviewError, match="damaged"):
        parse('{"a":' * 100_000, "dev")


def test_an_engine_that_does_not_begin_is_a_failed_preview_with_its_words() -> None:
    said = "error: validating stack config: Stack 'dev' with configuration key 'x' must be encrypted as it's secret\n"
    found = parse(said, "dev")
    assert (found.stack, found.errors) == ("dev", [said.removeprefix("error: ").strip()])


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(
    old=st.dictionaries(st.text(max_size=10), _json, max_size=4),
    new=st.dictionaries(st.text(max_size=10), _json, max_size=4),
)
def test_whatever_stands_in_a_resource_of_an_unknown_type_a_comment_comes_out(
    old: dict[str, object], new: dict[str, object]
) -> None:
    from tools.review import comment

    found = synthetic.verdict(synthetic.event("update", "other:index/thing:Thing", "thing", old, new))
    assert "thing" in comment.write([found], comment.CommentOptions())


@pytest.mark.parametrize(
    "type_", ["postgresql:index/grant:Grant", "postgresql:index/role:Role", "stellaops:objectstore:Bucket",
              "stellaops:valkey:Users", "stellaops:postgres:SchemaMigrations"],
)  # fmt: skip
@pytest.mark.parametrize("op", ["create", "update", "replace", "delete"])
def test_a_known_resource_without_any_property_is_told_too(type_: str, op: str) -> None:
    found = synthetic.verdict(
        synthetic.event(op, type_, "thing", None if op == "create" else {}, None if op == "delete" else {})
    )
    assert found.report()["counts"][op] == 1
