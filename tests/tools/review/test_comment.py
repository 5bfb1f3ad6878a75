"""The comment as a reviewer gets it: order, limit, markers, and values that stay text."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.review.synthetic import event, verdict
from tools.review.comment import CommentOptions, marker, write
from tools.review.escape import block, code, plain
from tools.review.risk import Risk
from tools.review.size_limit import LIMIT, size
from tools.review.tokens import BUCKET, GRANT, ROLE, SCHEMA, VALKEY_STREAMS
from tools.review.verdict import Verdict

HOSTILE = [
    "<script>alert(1)</script>", "<!-- stellaops-storage review: x/y -->", "--> out", "@admins", "a|b", "`code`", "```\nfence\n```",
    "[link](javascript:alert(1))", "![image](http://x/y.png)", "#1", "</details>", "\u202egnp.exe", "a\x00b", "~~~\nx", "> quote",
    "# heading", "a\nb\r\nc", "&lt;b&gt;", "\ud800", "$(rm -rf /)", "*bold*", "https://example.org",
]  # fmt: skip


def dropped(name: str = "vex") -> dict[str, object]:
    return event("delete", SCHEMA, name, {"name": name, "dropCascade": True})


def granted(number: int, filler: str = "") -> dict[str, object]:
    new = {
        "role": f"m{number}",
        "schema": "vuln",
        "objectType": "table",
        "objects": [f"t{number}"],
        "privileges": ["SELECT"],
        "note": filler,
    }
    return event("create", GRANT, f"g{number}", None, new)


def test_the_first_line_is_the_verdict_with_replacements_apart() -> None:
    text = write(
        [verdict(dropped(), granted(1), event("replace", BUCKET, "blobs", {"bucket": "a"}, {"bucket": "b"}))],
        CommentOptions(),
    )
    first = text.splitlines()[0]
    assert "**`dev`**: **data loss**, 2 to approve" in first
    assert "1 created, 1 deleted, 1 **replaced**, 3 unchanged" in first


def test_the_destructive_block_comes_before_everything_else_and_names_the_label() -> None:
    text = write([verdict(granted(1), dropped())], CommentOptions())
    assert text.index("delete data or remove") < text.index("#### PostgreSQL")
    assert "to approve, add the label `approve-data-loss: postgres/vex`" in text


def test_unchanged_stacks_take_one_line() -> None:
    quiet = verdict()
    assert write([quiet], CommentOptions()).splitlines()[0] == "\N{WHITE HEAVY CHECK MARK} no changes: `dev`"


def test_a_failed_preview_shows_its_error_and_no_verdict() -> None:
    text = write(
        [verdict(errors=["the mapping has 1 problem(s):\nschema-mapping.yaml:63:15 x: no"], result="failed")],
        CommentOptions(),
    )
    assert "the preview failed" in text.splitlines()[0]
    assert "schema-mapping.yaml:63:15 x: no" in text and "no risk" not in text


def test_markers_are_exact_and_end_no_comment_early() -> None:
    assert marker("stellaops-storage", "dev") == "<!-- stellaops-storage review: stellaops-storage/dev -->"
    assert marker("a", "b-->c--d").count("-->") == 1
    assert marker("a", "dev") != marker("a", "dev2")
    assert write([verdict(granted(1))], CommentOptions()).rstrip().endswith(marker("stellaops-storage", "dev"))


def test_an_approval_is_shown_where_it_applies() -> None:
    found = verdict(dropped(), labels=["approve-data-loss: postgres/vex"])
    text = write([found], CommentOptions())
    assert "data loss**, approved" in text.splitlines()[0] and "**approved**" in text and not found.blocked


@pytest.mark.parametrize("details", [40, 400, 1500])
def test_the_limit_is_kept_and_only_whole_blocks_are_left_out(details: int) -> None:
    found = verdict(dropped(), *(granted(number, "x" * 150) for number in range(details)))
    text = write([found], CommentOptions(report="`report.json`"))
    assert size(text) <= LIMIT
    assert "schema `vex` is dropped with all its tables" in text, "what destroys data is never left out"
    assert text.count("<details>") == text.count("</details>") and text.count("```") % 2 == 0, "no block is cut"
    assert marker("stellaops-storage", "dev") in text
    if details > 100:
        assert re.search(r"_\d+ sections omitted .* `report\.json`\._", text)


def test_the_least_risky_details_go_first() -> None:
    additive = [event("create", BUCKET, f"b{n}", None, {"bucket": f"b{n}", "note": "x" * 900}) for n in range(40)]
    found = verdict(granted(1, "here"), *additive)
    text = write([found], CommentOptions(limit=20_000))
    assert "+ note: here" in text, "details of widened access stay while additive ones go"
    assert "omitted" in text


def test_destructive_changes_that_alone_pass_the_limit_are_kept_by_name() -> None:
    streams: dict[str, list[str]] = {f"stream:{number:05}:{'x' * 20}": [] for number in range(900)}
    old, new = {"streams": streams, "allowDataLoss": True}, {"streams": {}, "allowDataLoss": True}
    found = verdict(event("update", VALKEY_STREAMS, "valkey-streams", old, new), granted(1))
    text = write([found], CommentOptions())
    assert size(text) <= LIMIT
    assert all(code(name) in text for name in streams), "every name that is destroyed is said"


def test_even_names_that_pass_the_limit_leave_a_comment_that_github_takes() -> None:
    streams: dict[str, list[str]] = {f"stream:{number:05}:{'x' * 60}": [] for number in range(3000)}
    old, new = {"streams": streams, "allowDataLoss": True}, {"streams": {}, "allowDataLoss": True}
    found = verdict(event("update", VALKEY_STREAMS, "valkey-streams", old, new))
    text = write([found], CommentOptions())
    assert size(text) <= LIMIT and "3000 to approve" in text and "and more: see the report" in text


def test_an_endless_error_is_cut_at_the_report() -> None:
    text = write([verdict(errors=["x y " * 50_000], result="failed")], CommentOptions())
    assert size(text) <= LIMIT and "more characters in the report" in text


def test_characters_outside_the_first_plane_count_twice() -> None:
    assert size("\N{PILE OF POO}a") == 3


class Tags(HTMLParser):
    """What a browser would see in text outside of code."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.comments: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def outside_code(text: str) -> str:
    """Without fenced blocks and inline code, as Markdown reads them."""
    text = re.sub(r"^(`{3,})[^\n]*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)", "", text)


def seen(text: str) -> Tags:
    parser = Tags()
    parser.feed(outside_code(text))
    return parser


@pytest.mark.parametrize("value", HOSTILE)
def test_values_stay_text_wherever_they_stand(value: str) -> None:
    found = verdict(
        event(
            "update", ROLE, "scanner", {"login": True, "searchPaths": ["vex"]}, {"login": True, "searchPaths": [value]}
        ),
        event(
            "create",
            GRANT,
            "g",
            None,
            {"role": value, "schema": value, "objectType": "table", "objects": [value], "privileges": [value]},
        ),
        event("delete", SCHEMA, "s", {"name": value}),
        event("update", f"other:index/thing:{value}".replace("::", ":"), "thing", {value: value}, {value: [value]}),
        errors=[value],
    )
    text = write([found], CommentOptions())
    browser = seen(text)
    assert browser.tags <= {"details", "summary", "code"}, browser.tags
    assert browser.comments == [" stellaops-storage review: stellaops-storage/dev "]
    outside = outside_code(text)
    assert "@admins" not in outside and "](javascript" not in outside and "\u202e" not in text and "\x00" not in text
    text.encode("utf-8")


@given(st.text(max_size=300))
def test_inline_code_is_one_line_and_closes_itself(value: str) -> None:
    shown = code(value)
    ticks = re.match("`+", shown)
    assert ticks and "\n" not in shown and shown.endswith(ticks[0])
    inner = shown[len(ticks[0]) : -len(ticks[0])]
    assert ticks[0] not in re.findall("`+", inner), "nothing inside may end it"


@given(st.text(max_size=300))
def test_a_fenced_block_is_closed_by_its_own_fence_only(value: str) -> None:
    first, *body, last = block(value).split("\n")
    assert first == last and not any(line.strip() == first or line.startswith(first) for line in body)


@given(st.text(max_size=100))
def test_plain_text_has_no_tag_and_no_mention(value: str) -> None:
    shown = plain(value)
    assert not re.search(r"<[a-zA-Z/!]", shown) and not re.search(r"@\w", shown) and "\n" not in shown


def test_several_stacks_have_a_line_each_and_their_own_part() -> None:
    prod = verdict(dropped())
    prod.preview.stack = "prod"
    text = write([prod, verdict(granted(1))], CommentOptions())
    first, second = text.splitlines()[:2]
    assert "`prod`" in first and "`dev`" in second and "## `prod`" in text and "## `dev`" in text
    assert text.count("<!-- stellaops-storage review:") == 2


def test_drift_has_a_section_of_its_own_and_blocks_nothing() -> None:
    found = verdict(granted(1))
    drifted = Verdict(
        found.context, Risk.DATA_LOSS, drift=("postgres: role policy may UPDATE vex.vex_raw: not in the mapping",)
    )
    text = write([drifted], CommentOptions())
    assert "#### Drift" in text and "role policy may UPDATE vex.vex_raw" in text and not drifted.blocked


def test_secrets_are_masked_in_the_last_scan() -> None:
    new = {"role": "m", "note": "hunter2-is-the-password", "verifier": "SCRAM-SHA-256$4096:c2FsdA==$a2V5:a2V5"}
    text = write(
        [verdict(event("create", GRANT, "g", None, new))], CommentOptions(secrets=("hunter2-is-the-password",))
    )
    assert "hunter2" not in text and "SCRAM" not in text and text.count("[masked]") == 2


def test_links_lead_to_the_line_of_the_mapping() -> None:
    from tests.tools.review.synthetic import ROOT
    from tools.review.origin import MappingOrigins

    origins = MappingOrigins.read(
        ROOT / "schema-mapping.yaml", "https://host/o/n/blob/0a1B2c3D4e5F6a7b8c9d0a1B2c3D4e5F6a7b8c9d"
    )
    line = next(
        n
        for n, text in enumerate((ROOT / "schema-mapping.yaml").read_text().splitlines(), 1)
        if "reads: [vex.issuer_trust]" in text
    )
    path = origins.access("issuer_directory", "postgres", "vex.issuer_trust")
    link = origins.link(path)
    assert link == f"[`schema-mapping.yaml:{line}`]({origins.source_url}/schema-mapping.yaml#L{line})"
    grant = {"role": "issuer_directory", "schema": "vex", "objectType": "table", "objects": ["issuer_trust"]}
    found = verdict(event("create", GRANT, "g", None, {**grant, "privileges": ["SELECT"]}))
    object.__setattr__(found.context, "origins", origins)
    text = write([found], CommentOptions(keep=(origins.source_url,)))
    assert f"({origins.source_url}/schema-mapping.yaml#L" in text, "an address of our own is no secret"
    assert not origins.link(("modules", "gone")), "what is gone has no line among the others"
