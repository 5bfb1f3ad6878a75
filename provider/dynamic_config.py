"""Stack config inside the provider of a dynamic resource, where values arrive as text under the project's name."""

from pulumi.dynamic import ConfigureRequest

from components.config.namespace import NAMESPACE
from provider.errors import ProviderError


def setting(req: ConfigureRequest, key: str, default: str | None = None) -> str:
    """The value of ``key``. Raises ``ProviderError`` when it is missing and has no default."""
    value = req.config.get(f"{NAMESPACE}:{key}")
    if value is None and default is None:
        raise ProviderError(f"config {NAMESPACE}:{key} is missing; run: pulumi config set {NAMESPACE}:{key}")
    return str(default if value is None else value)


def number(req: ConfigureRequest, key: str, default: int) -> int:
    """A whole number; the engine may send one that went through JSON as ``6379.0``."""
    return int(float(setting(req, key, str(default))))


def switch(req: ConfigureRequest, key: str) -> bool:
    """A boolean, off unless it is set."""
    return setting(req, key, "false").lower() == "true"
