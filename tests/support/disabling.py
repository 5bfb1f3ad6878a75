"""Disable a user of the object store, which the stack itself never does."""

from provider.rustfs.admin import Admin, MinioAdmin, RustfsAdmin


def disable(server: Admin, access_key: str) -> None:
    """Disable a user through the server's own admin API."""
    if isinstance(server, MinioAdmin):
        server._library.user_disable(access_key=access_key)
    else:
        assert isinstance(server, RustfsAdmin)
        server.request("PUT", "set-user-status", accessKey=access_key, status="disabled")
