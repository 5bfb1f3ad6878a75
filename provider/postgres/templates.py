"""Templates of migrations: a small part of Jinja's syntax, and nothing that could change data silently.

``{{ schema }}`` inserts a variable. To write braces themselves, use ``{{ '{{' }}`` or
``{% raw %} ... {% endraw %}``. Any other ``{{``, ``{%`` or ``{#`` is an error. In a string constant, a variable must
be the name of an object (``'{{ schema }}.items'``); in a sentence it could be data. A body after AS or DO is code.
"""

import re
from collections.abc import Mapping

import postgast

from provider.postgres.statements import ScriptError

_TAG = re.compile(
    r"\{\{[ \t]*(?P<name>[a-z_]+)[ \t]*\}\}"
    r"|\{\{[ \t]*'(?P<braces>\{\{|\}\}|\{%|%\}|\{#|#\})'[ \t]*\}\}"
    r"|\{%[ \t]*raw[ \t]*%\}(?P<raw>.*?)\{%[ \t]*endraw[ \t]*%\}"
    r"|(?P<other>\{\{|\{%|\{#)",
    re.DOTALL,
)
ESCAPE = "to write braces, use {{ '{{' }}, or {% raw %} before and {% endraw %} after the text"
_COMMENTS = {"SQL_COMMENT", "C_COMMENT"}
_BODY_STARTS = {"AS", "DO"}


def render_template(source: str, variables: Mapping[str, str]) -> str:
    """Insert the variables. Lines keep their numbers. Raises ``ScriptError`` for any other tag."""
    filled: list[str] = []
    inserted: list[tuple[int, int, str]] = []
    position = length = 0
    for match in _TAG.finditer(source):
        line = source.count("\n", 0, match.start()) + 1
        before = source[position : match.start()]
        text = _text(match, line, source, variables)
        if match["name"]:
            inserted.append((length + len(before), line, match["name"]))
        filled += [before, text]
        length += len(before) + len(text)
        position = match.end()
    text = "".join([*filled, source[position:]])
    _refuse_data(text, inserted, variables)
    return text


def _text(match: re.Match[str], line: int, source: str, variables: Mapping[str, str]) -> str:
    if match["other"]:
        shown = source[match.start() :].splitlines()[0][:30]
        raise ScriptError(line, f"`{shown}` is not {{{{ variable }}}}", f"{_known(variables)}; {ESCAPE}")
    if match["name"]:
        if match["name"] not in variables:
            raise ScriptError(line, f"'{match['name']}' is undefined", f"{_known(variables)}; {ESCAPE}")
        return variables[match["name"]]
    return match["braces"] or match["raw"] or ""


def _known(variables: Mapping[str, str]) -> str:
    return f"a template may use {', '.join(sorted(variables))}"


def _refuse_data(text: str, inserted: list[tuple[int, int, str]], variables: Mapping[str, str]) -> None:
    """Raise ``ScriptError`` for a variable in a string constant that is not a name."""
    if not inserted:
        return
    try:
        tokens = list(postgast.scan(text).tokens)
    except postgast.PgQueryError:
        return  # the parser reports it
    data = text.encode()
    constants = {
        token.start: (token.end, index)
        for index, token in enumerate(tokens)
        if postgast.pg_query_pb2.Token.Name(token.token) == "SCONST"
    }
    places = [(len(text[:start].encode()), line, name) for start, line, name in inserted]
    for begin, (end, index) in constants.items():
        if _is_body(data, tokens[:index]):
            continue
        for place, line, name in places:
            after = place + len(variables[name].encode())
            if begin <= place < end and not _is_name(data[begin:place].decode(), data[after:end].decode()):
                message = f"{{{{ {name} }}}} in a string constant could be data"
                remedy = f"a constant may start with it as a name, like '{{{{ schema }}}}.items'; {ESCAPE}"
                raise ScriptError(line, message, remedy)


def _is_name(before: str, after: str) -> bool:
    """Whether the variable starts the constant and is followed by its end or by ``.name``."""
    quoted = re.fullmatch(r"[eE]?'\"?|\$\w*\$\"?", before) is not None
    return quoted and re.match(r"\"?\.[\w\"]|\"?'|\$", after) is not None


def _is_body(data: bytes, before: list[postgast.pg_query_pb2.ScanToken]) -> bool:
    """Whether a constant is the body of a function or DO block: it follows AS or DO, or DO LANGUAGE name."""
    words = [
        data[token.start : token.end].decode().upper()
        for token in before[-12:]
        if postgast.pg_query_pb2.Token.Name(token.token) not in _COMMENTS
    ]
    return bool(words) and (words[-1] in _BODY_STARTS or (len(words) > 2 and words[-3:-1] == ["DO", "LANGUAGE"]))
