"""The base of the resource kinds of the object store."""

from typing import TYPE_CHECKING

from provider.kind import Kind

if TYPE_CHECKING:
    from provider.rustfs.store import Store


class ObjectStoreKind(Kind):
    """A resource kind with a connection to the provider's object store."""

    @property
    def _store(self) -> "Store":
        """Raises ``ProviderError`` if a provider input is unknown."""
        from provider.rustfs.store import Store

        settings = self._settings
        return Store(
            endpoint=settings.text("objectStoreEndpoint"),
            region=settings.text("objectStoreRegion"),
            access_key=self._admin_access_key,
            secret_key=settings.text("objectStoreSecretKey"),
        )

    @property
    def _admin_access_key(self) -> str:
        return self._settings.text("objectStoreAccessKey")
