"""Format commands so that they work as they are printed, whatever the names in them have."""

import re
import shlex

PLAIN = re.compile(r"[A-Za-z0-9_.,:;/@%+~&*#!(){}|=^-]+")


def command(*words: str | int) -> str:
    """Format a command for ``valkey-cli``. Words with other characters are in double quotes, their bytes escaped."""
    return " ".join(_word(str(word)) for word in words)


def _word(word: str) -> str:
    if PLAIN.fullmatch(word):
        return word
    return '"' + "".join(map(_byte, word.encode(errors="surrogateescape"))) + '"'


def _byte(byte: int) -> str:
    character = chr(byte)
    if character in '"\\':
        return f"\\{character}"
    return character if 32 <= byte < 127 else f"\\x{byte:02x}"


def shell(*words: str) -> str:
    """Format a command for a shell. Words with control characters are quoted as ``$'...'``."""
    return " ".join(word if word.isprintable() and shlex.quote(word) == word else _quoted(word) for word in words)


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    escaped = (
        f"\\{chr(byte)}" if chr(byte) in "'\\" else chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}"
        for byte in word.encode(errors="surrogateescape")
    )  # fmt: skip
    return f"$'{''.join(escaped)}'"
