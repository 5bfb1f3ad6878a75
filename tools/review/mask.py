"""Mask secrets, and text that looks like a secret, in all output of the review."""

import re
from collections.abc import Iterable

MASKED = "[masked]"
SHORTEST_SECRET = 6  # characters; shorter config values could be ordinary words

_PATTERNS = (
    re.compile(r"SCRAM-SHA-256\$[^\s`\"',]+"),
    re.compile(r"\bmd5[0-9a-f]{32}\b"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),  # a JSON Web Token
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"\bgh[oprsu]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bpul-[0-9a-f]{40}\b"),
    re.compile(r"(?<=://)[^\s/@`:]+:[^\s/@`]+(?=@)"),  # user:password in a URL
    # A SHA-256 password hash, as in Valkey's ACL. Checksums of files have the prefix sha256:.
    re.compile(r"(?<!sha256:)(?<![0-9A-Za-z])[0-9a-f]{64}(?![0-9A-Za-z])"),
)
_ASSIGNED = re.compile(
    r"(?i)((?:password|passwd|passphrase|secret[_-]?key|access[_-]?key|api[_-]?key|token)[\"']?\s*[=:]\s*[\"']?)"
    r"(?!\[secret\]|\[masked\]|null\b|None\b)([^\s\"'`,;]{6,})"
)
# Long random text, as base64 encoding and Python's `secrets` module produce it.
_RANDOM = re.compile(
    r"(?<![A-Za-z0-9+/_=-])(?=[A-Za-z0-9+/_-]*[a-z])(?=[A-Za-z0-9+/_-]*[A-Z])(?=[A-Za-z0-9+/_-]*[0-9])[A-Za-z0-9+_-][A-Za-z0-9+/_-]{30,}={0,2}"
)


def mask(text: str, secrets: Iterable[str] = (), keep: Iterable[str] = ()) -> str:
    """Mask ``secrets`` and text that looks like a secret, except in the URLs in ``keep``."""
    kept = {f"\0{index}\0": address for index, address in enumerate(keep) if address}
    for placeholder, address in kept.items():
        text = text.replace(address, placeholder)
    text = _masked(text, secrets)
    for placeholder, address in kept.items():
        text = text.replace(placeholder, address)
    return text


def _masked(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted({item for item in secrets if len(item) >= SHORTEST_SECRET}, key=len, reverse=True):
        text = text.replace(secret, MASKED)
    for pattern in _PATTERNS:
        text = pattern.sub(MASKED, text)
    text = _ASSIGNED.sub(lambda match: match[1] + MASKED, text)
    return _RANDOM.sub(lambda match: match[0] if _is_path(match[0]) else MASKED, text)


def _is_path(text: str) -> bool:
    """Whether ``text`` is a path such as ``docs/How-To/0001``; base64 has slashes too, but not between words."""
    return "/" in text and all(
        re.fullmatch(r"[A-Za-z]*[a-z]{2,}[A-Za-z]*|[0-9]{1,8}|", part) for part in re.split(r"[/_+-]", text)
    )
