"""The base of the kinds that act on Valkey."""

from typing import TYPE_CHECKING

from provider.kind import Kind

if TYPE_CHECKING:
    from provider.valkey.server import ValkeyServer


class ValkeyKind(Kind):
    """A kind with a connection to the provider's Valkey server."""

    @property
    def _server(self) -> "ValkeyServer":
        """Raises ``ProviderError`` where a setting is not known yet."""
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
