"""Hypothesis strategies that mutate a mapping: its text, or its parsed tree."""

import copy
import re
from collections.abc import Callable
from typing import Any

import yaml
from hypothesis import strategies as st

Tree = Any
Draw = Callable[[st.SearchStrategy[Any]], Any]

HOSTILE = (
    "", " ", "a" * 57, "a" * 63, "a" * 64, "a" * 501, "x" * 100_000, "ends_", "_begins", "UPPER", "1digit", "a__b",
    "select", "user", "all", "public", "default", "none", "postgres", "pg_catalog", "schema_migrations", "ctid",
    "backups", "maintenance", "vex_writer", "stellaops_connect", "stellaops_backup", "refuse_change", "true", "null",
    "~", "=", "<<", "0", "1_000", "0x" + "f" * 5000, "1" * 5000, "190:20:30", "-1", "1e400", ".inf", ".nan", "2024-13-45",
    "2024-01-01", "2024-01-01 00:00:00 +99", "0000-00-00", "12:30:45", "0b", "0o8", "08", "+", "-", "?", ":", "!!int", "!", "&a",
    "*a", "%", "@", "`", "|", ">", "#", "[", "]", "{", "}", ",", "--- ", "...", "\\", '"', "'", "''", '";DROP TABLE x;--',
    "' OR 1=1 --", "$(id)", "`id`", "a b", "a\tb", "a\nb", "a\r\nb", "a\x00b", "a\x1b[2Jb", "\x7f", "\x85", "\u2028", "\u202e",
    "\ufeff", "\ud7ff", "é", "ß", "\uff46ull", "İ", "💥", "../..", "..", ".", "/", "//", "a/../b", "blobs/", "blobs/*", "*", "?",
    "a?", "${aws:username}", "{x}", "{x}{x}", "{", "a:{", "a:{b", "a:*:*:*:*", "~* +@all >", "#abc", "+@all", "user on", "a:b c",
    "vex", "vex.consensus", "vex.consensus()", "vex.consensus(status,status)", "vex.consensus(statement_id, status)",
    "vex.consensus(statement_id)", "policy", "excititor", "telemetry", "5m", "0s", "999999d", "999999ms", "1ms", "25d", "10001d",
    "1kb", "2gb", "9" * 14 + "gb", "none", "infinite", "until-utc-midnight", "uuid", "numeric(3,2)", "text[]", "text; --",
    "stream", "string", "various", ".json", ".a.b", "id", "created", "minio", "xn--a", "sthree-a", "timestamp(3) with time zone",
)  # fmt: skip
OTHER: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 1.5, float("inf"), float("nan"), b"\xff", [], {}, [[]], [{}],
    {"": ""}, {"a": {}}, ["a", "a"],
)  # fmt: skip
NAMES = st.sampled_from(HOSTILE) | st.text(max_size=8) | st.from_regex(r"[a-z][a-z0-9_]{0,3}", fullmatch=True)
KEYS = NAMES | st.integers() | st.booleans() | st.none() | st.floats()
VALUES = NAMES | st.sampled_from(OTHER)
# Raw YAML: tags, anchors, aliases, quotes, line breaks, further documents.
SNIPPETS = (
    "!!python/object/apply:os.system [id]", "!!python/name:os.system", "!!set {a, b}", "!!binary /w==", "!!bool maybe",
    "!!timestamp x", "!!int ''", "!!float x", "!!omap [a: 1]", "! x", "!x y", "!<tag:yaml.org,2002:str> x", "&a [*a]", "&a x",
    "*a", "<<: {a: b}", "<<: *a", "? [a, b]\n: c", "? a", "\n---\n", "\n...\n", "\n---\na: b\n", "%YAML 1.1\n---\n", "%TAG ! x\n",
    "\ufeff", "\t", "\n\t", "\n\n", "\r", "\x00", "\x01", "\x7f", "\x85", "\u2029", "\ud7ff", "\ufffe", "\U0010ffff", "{", "}",
    "[", "]", "[" * 30, "- " * 30, "{a: " * 30, ":", ": ", " : ", "#", " #", "'", '"', '"\\x00"', '"\\uD800"', '"\\', "|", "|9\n",
    ">-\n", "|\n  a\n", "''", "~", "0x" + "f" * 4000, "a" * 3000, "- a", "-", "@", "`", "%", "é", "=", "\n  x: y\n", "x: y", ", x",
    ", x: y", "\\",
)  # fmt: skip


def paths(tree: Tree, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in the tree, except the root."""
    found = [here] if here else []
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        found += paths(value, (*here, key))
    return found


def value_at(tree: Tree, path: tuple[Any, ...]) -> Tree:
    for part in path:
        tree = tree[part]
    return tree


def _rename(parent: dict[Any, Any], old: Any, new: Any) -> None:
    items = [(new if key == old else key, value) for key, value in parent.items()]
    parent.clear()
    parent.update(items)


def change_tree(draw: Draw, tree: Tree) -> None:
    """Change one value, one key or the order of some entries."""
    places = paths(tree)
    if not places:
        return
    path = draw(st.sampled_from(places))
    parent, key = value_at(tree, path[:-1]), path[-1]
    kind = draw(st.sampled_from(("set", "delete", "rename", "swap", "add", "copy", "wrap", "another")))
    if kind == "delete":
        del parent[key]
    elif kind == "rename" and isinstance(parent, dict):
        _rename(parent, key, draw(KEYS) if draw(st.booleans()) else f"{key}_")
    elif kind == "swap":
        other = draw(st.sampled_from(places))
        if path[: len(other)] != other and other[: len(path)] != path:
            there = value_at(tree, other[:-1])
            parent[key], there[other[-1]] = there[other[-1]], parent[key]
    elif kind == "add" and isinstance(parent[key], dict):
        parent[key][draw(KEYS) if draw(st.booleans()) else "unknown"] = draw(VALUES)
    elif kind in ("add", "another") and isinstance(parent, list):
        parent.insert(key, draw(VALUES) if draw(st.booleans()) else copy.deepcopy(parent[key]))
    elif kind == "copy":
        # Take the value from a similar place: it is valid far more often than an invented one.
        parent[key] = copy.deepcopy(value_at(tree, draw(st.sampled_from(places))))
    elif kind == "wrap":
        parent[key] = draw(st.sampled_from(([parent[key]], {"a": parent[key]}, str(parent[key]))))
    else:
        parent[key] = draw(VALUES)


def as_yaml(tree: Tree) -> bytes:
    text: str = yaml.dump(tree, Dumper=_Plain, allow_unicode=True, sort_keys=False, width=1000)
    return text.encode("utf-8", "surrogatepass")


class _Plain(yaml.CSafeDumper):
    """A dumper without aliases, which the mapping does not allow."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


@st.composite
def trees(draw: Draw, source: str) -> bytes:
    """Generate the mapping with one to three changes of its tree, as YAML."""
    tree = copy.deepcopy(yaml.load(source, Loader=yaml.CSafeLoader))
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
        change_tree(draw, tree)
    return as_yaml(tree)


# Names and values of small.yaml, with every place where each appears.
WORDS = (
    "excititor", "telemetry", "vex", "policy", "issuer_trust", "consensus", "statements", "policies", "status", "statement_id",
    "create_finding_tables", "policyId", "effective_finding", "dpop", "jti", "layers", "events", "vex-workers", "blobs", "kits",
    "kitId", "full_digest", "feeds", "json", "dsse", "sbom", "uuid", "text", "5m", "7d", "30s", "60s", "10d", "90d", "1d", "2gb",
    "Excititor", "Policies", "partial", "application",
)  # fmt: skip


def rename_everywhere(tree: Tree, word: str, new: str) -> Tree:
    """Rename everything consistently: the mapping stays valid if the new name is valid."""
    if isinstance(tree, dict):
        return {rename_everywhere(key, word, new): rename_everywhere(item, word, new) for key, item in tree.items()}
    if isinstance(tree, list):
        return [rename_everywhere(item, word, new) for item in tree]
    return (
        re.sub(rf"(?<![A-Za-z0-9_]){re.escape(word)}(?![A-Za-z0-9])", lambda _: new, tree)
        if isinstance(tree, str)
        else tree
    )


@st.composite
def renamed(draw: Draw, source: str) -> bytes:
    """Generate the mapping with one or two names or values replaced everywhere."""
    tree = yaml.load(source, Loader=yaml.CSafeLoader)
    for word in draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=2)):
        tree = rename_everywhere(tree, word, draw(NAMES | st.sampled_from(WORDS)))
    return as_yaml(tree)


@st.composite
def texts(draw: Draw, source: str) -> bytes:
    """Generate the mapping with one to three changed characters, in one of several encodings."""
    text = source
    for _ in range(draw(st.integers(1, 3))):
        text = change_text(draw, text)
    encoding = draw(
        st.sampled_from(("utf-8",) * 12 + ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp037"))
    )
    raw = text.encode(encoding, "replace" if encoding in ("latin-1", "cp037") else "surrogatepass")
    if draw(st.integers(0, 15)) == 0:
        place = draw(st.integers(0, len(raw)))
        raw = (
            raw[:place]
            + draw(st.sampled_from((b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5", b"\x80", b"\xe2\x82")))
            + raw[place:]
        )
    return raw


def change_text(draw: Draw, text: str) -> str:
    lines = text.split("\n")
    number = draw(st.integers(0, len(lines) - 1))
    line = lines[number]
    kind = draw(
        st.sampled_from(
            ("cut", "drop", "double", "indent", "dedent", "tab", "insert", "value", "swap", "cut line", "join", "end")
        )
    )
    if kind == "cut":
        return text[: draw(st.integers(0, len(text)))]
    if kind == "end":
        return text + str(draw(st.sampled_from(SNIPPETS)))
    if kind == "drop":
        del lines[number]
    elif kind == "double":
        lines.insert(number, line)
    elif kind == "indent":
        lines[number] = " " * draw(st.integers(1, 9)) + line
    elif kind == "dedent":
        lines[number] = line[draw(st.integers(1, 4)) :]
    elif kind == "tab":
        lines[number] = line.replace("  ", "\t", 1) if "  " in line else f"\t{line}"
    elif kind == "insert":
        place = draw(st.integers(0, len(line)))
        lines[number] = line[:place] + draw(st.sampled_from(SNIPPETS)) + line[place:]
    elif kind == "value":
        key, colon, _ = line.partition(": ")
        lines[number] = key + (colon or ": ") + draw(st.sampled_from(SNIPPETS + HOSTILE))
    elif kind == "swap":
        other = draw(st.integers(0, len(lines) - 1))
        lines[number], lines[other] = lines[other], lines[number]
    elif kind == "cut line":
        lines[number] = line[: draw(st.integers(0, len(line)))]
    else:
        lines[number : number + 2] = ["".join(lines[number : number + 2])]
    return "\n".join(lines)
