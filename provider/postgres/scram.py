"""Verifiers of passwords, as PostgreSQL stores them (SCRAM-SHA-256, RFC 5803)."""

import base64
import hashlib
import hmac

ITERATIONS = 4096  # PostgreSQL's own default, scram_iterations


def scram_verifier(password: str, salt: bytes) -> str:
    """Return the verifier that PostgreSQL stores for ``password``: ``SCRAM-SHA-256$<iterations>:<salt>$<stored
    key>:<server key>``, with base64 parts.

    If a role is created with a verifier, the clear-text password reaches neither the server nor its log.
    """
    return _verifier(password, salt, ITERATIONS)


def matches(password: str, verifier: str) -> bool:
    """Whether a verifier is that of the password; False for any other text."""
    try:
        _, parameters, keys = verifier.split("$")
        iterations, salt = parameters.split(":")
        expected = _verifier(password, base64.b64decode(salt), int(iterations))
    except ValueError:
        return False
    return hmac.compare_digest(expected.rpartition("$")[2].partition(":")[0], keys.partition(":")[0])


def _verifier(password: str, salt: bytes, iterations: int) -> str:
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    b64_salt, b64_stored, b64_server = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${iterations}:{b64_salt}${b64_stored}:{b64_server}"
