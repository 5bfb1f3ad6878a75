"""Show text from a file or a server on a terminal."""


def printable(text: str) -> str:
    r"""Return ``text`` on one line, with control characters and invisible characters escaped, like ``\x1b`` or ``\u202e``."""
    return "".join(part if part.isprintable() else part.encode("unicode_escape").decode() for part in text)
