"""Write a SQL statement on one line of printable characters, so that it can be printed, copied and run."""

import re

# A literal, a quoted name, a dollar-quoted text, or what lies between them.
_PARTS = re.compile(
    r"""(?P<escaped>\b[eE]'(?:[^'\\]|''|\\.)*')|(?P<literal>'(?:[^']|'')*')|(?P<name>"(?:[^"]|"")*")"""
    r"""|(?P<dollar>\$(?P<tag>[A-Za-z_]*)\$(?P<text>.*?)\$(?P=tag)\$)|(?P<other>[^'"$eE]+|.)""",
    re.DOTALL,
)


def one_line(statement: str) -> str:
    """Return a statement with the same meaning. Names and texts that contain line breaks, control characters or invisible
    characters become ``U&"\\000a"`` and ``E'\\n'``."""
    parts = []
    for match in _PARTS.finditer(statement.strip()):
        part = match[0]
        if match["other"] is not None:
            part = re.sub(r"\s+", " ", part)
        elif part.isprintable():
            pass
        elif match["name"] is not None:
            part = f"U&{''.join(map(_in_name, part))}"
        elif match["dollar"] is not None:
            part = "E'" + "".join(map(_in_text, match["text"].replace("'", "''"))) + "'"
        elif match["literal"] is not None:
            part = f"E{''.join(map(_in_text, part))}"
        else:
            part = "".join(one if one.isprintable() else _in_text(one) for one in part)
        parts.append(part)
    return "".join(parts)


def _in_name(character: str) -> str:
    if character == "\\":
        return r"\\"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\{code:04x}" if code <= 0xFFFF else f"\\+{code:06x}"


def _in_text(character: str) -> str:
    if character == "\\":
        return r"\\"
    if character.isprintable():
        return character
    code = ord(character)
    return {"\n": r"\n", "\t": r"\t", "\r": r"\r"}.get(character) or (
        f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
    )
