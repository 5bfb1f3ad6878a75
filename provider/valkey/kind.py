"""The base of the resource kinds of Valkey."""

from typing import TYPE_CHECKING

from provider.kind import Kind

if TYPE_CHECKING:
    from provider.valkey.server import ValkeyServer


class ValkeyKind(Kind):
    """A resource kind with a connection to the provider's Valkey server."""

    @property
    def _server(self) -> "ValkeyServer":
        """Raises ``ProviderError`` if a provider input is unknown."""
        from provider.valkey.server import ValkeyServer

        settings = self._settings
        return ValkeyServer(
            host=settings.text("valkeyHost"),
            port=settings.number("valkeyPort"),
            user=self._admin_user,
            password=settings.text("valkeyAdminPassword"),
            tls=settings.flag("valkeyTls"),
        )

    @property
    def _admin_user(self) -> str:
        return self._settings.text("valkeyAdminUser")
