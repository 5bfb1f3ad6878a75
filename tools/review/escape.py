"""Escape values for Markdown.

All text from a preview, a mapping or a file passes through this module. Values are shown as code, where Markdown, HTML,
mentions and links have no effect.
"""

import re
from collections.abc import Iterable

LONGEST_VALUE = 200

# Control characters, and characters that are invisible or change the direction of text.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>@:/=$^'\"])")


def visible(text: str) -> str:
    """Show invisible characters of ``text`` as code points and replace unpaired surrogates."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return _INVISIBLE.sub(lambda match: f"<U+{ord(match[0]):04X}>", text.replace("\r\n", "\n").replace("\r", "\n"))


def shortened(text: str, longest: int = LONGEST_VALUE) -> str:
    if len(text) <= longest:
        return text
    return f"{text[:longest]}... ({len(text) - longest} more characters)"


def code(value: object) -> str:
    """Format ``value`` as inline code on one line."""
    text = shortened(" ".join(visible(str(value)).replace("\t", " ").split("\n"))) or " "
    ticks = "`" * (_longest_run(text, "`") + 1)
    space = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{ticks}{space}{text}{space}{ticks}"


def codes(values: Iterable[object], most: int = 6) -> str:
    """Format values as inline code, joined with commas and ``and``. Beyond ``most``, only count them."""
    items = [code(value) for value in values]
    if len(items) <= most:
        return ", ".join(items[:-1]) + f" and {items[-1]}" if len(items) > 1 else "".join(items)
    return f"{', '.join(items[: most - 1])} and {len(items) - most + 1} more"


def block(text: str, language: str = "") -> str:
    """Format a fenced block whose fence is longer than any in ``text``."""
    body = visible(text).rstrip("\n")
    fence = "`" * max(3, _longest_run(body, "`") + 1)
    return f"{fence}{language}\n{body}\n{fence}"


def plain(text: str) -> str:
    """Escape untrusted text for use outside code: all characters that Markdown or HTML interprets."""
    text = " ".join(visible(text).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    # GitHub recognises mentions and issue numbers despite a backslash, but not with the sign as an HTML entity.
    text = _MARKDOWN.sub(r"\\\1", text)
    return text.replace(r"\@", "&#64;&#8203;").replace(r"\#", "&#35;&#8203;")


def folded(summary: str, body: str) -> str:
    """A collapsed section. ``summary`` must be safe HTML."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def _longest_run(text: str, character: str) -> int:
    return max((len(run) for run in re.findall(f"{re.escape(character)}+", text)), default=0)
