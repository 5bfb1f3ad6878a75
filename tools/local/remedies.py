"""Commands in messages, as they work on the local stack: its engine is not on the PATH."""

import re

_TARGET = re.compile(r"\bpulumi (?=(up|preview|refresh|destroy)\b(?! --))")
_OTHER = re.compile(r"\bpulumi (?=(up|preview|refresh|destroy|config|stack|state|import|cancel)\b)")


def for_local_stack(text: str) -> str:
    """Replace ``pulumi up`` by ``make up``, and ``pulumi config set ...`` by ``python3 -m tools pulumi config set ...``."""
    return _OTHER.sub("python3 -m tools pulumi ", _TARGET.sub("make ", text))
