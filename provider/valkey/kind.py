"""The base of the kinds that act on Valkey."""

from typing import TYPE_CHECKING

from provider.kind import Kind

if TYPE_CHECKING:
    from provider.valkey.server import Server


class ValkeyKind(Kind):
    """A kind with a connection to the provider's Valkey server."""

    @property
    def _server(self) -> "Server":
        """Raises ``ProviderError`` where a setting is not known yet."""
        from provider.valkey.server import Server

        settings = self._settings
        return Server(
            host=settings.text("valkeyHost"),
            port=settings.number("valkeyPort"),
            user=self._admin_user,
            password=settings.text("valkeyAdminPassword"),
            tls=settings.flag("valkeyTls"),
        )

    @property
    def _admin_user(self) -> str:
        return self._settings.text("valkeyAdminUser")
