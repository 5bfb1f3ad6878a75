"""Groups, service accounts and disabled users on the object store, none of which the stack creates."""

from dataclasses import replace
from typing import Any

from components.rustfs.policy_documents import Document
from provider.errors import ProviderError
from provider.rustfs import admin
from provider.rustfs.admin import Admin, MinioAdmin, RustfsAdmin
from provider.rustfs.store import Store


def disable(server: Admin, access_key: str) -> None:
    """Disable a user through the server's own admin API."""
    if isinstance(server, MinioAdmin):
        server._library.user_disable(access_key=access_key)
    else:
        assert isinstance(server, RustfsAdmin)
        server.request("PUT", "set-user-status", accessKey=access_key, status="disabled")


def add_to_group(server: Admin, group: str, member: str, policy: str) -> None:
    """Create the group if necessary, and attach its policy."""
    if isinstance(server, MinioAdmin):
        server._command(server._library.group_add, group_name=group, members=[member])
        server._command(server._library.policy_set, policy_name=policy, group=group)
    else:
        assert isinstance(server, RustfsAdmin)
        change = {"group": group, "members": [member], "groupStatus": "enabled", "isRemove": False}
        server.request("PUT", "update-group-members", change)
        server.request("PUT", "set-user-or-group-policy", policyName=policy, userOrGroup=group, isGroup="true")


def disable_group(server: Admin, group: str) -> None:
    if isinstance(server, MinioAdmin):
        server._library.group_disable(group_name=group)
    else:
        assert isinstance(server, RustfsAdmin)
        server.request("PUT", "set-group-status", group=group, status="disabled")


def remove_group(server: Admin, group: str, *members: str) -> None:
    """Remove the members and the group; no error if one is gone."""
    for member in members:
        try:
            server.leave_group(member, group)
        except ProviderError:
            continue
    try:
        if isinstance(server, MinioAdmin):
            server._command(server._library.group_remove, group_name=group)
        else:
            assert isinstance(server, RustfsAdmin)
            change: dict[str, Any] = {"group": group, "members": [], "groupStatus": "enabled", "isRemove": True}
            server.request("PUT", "update-group-members", change)
    except ProviderError:
        return


def add_service_account(
    root: Store, parent: tuple[str, str], keys: tuple[str, str], policy: Document | None = None
) -> None:
    """Create a service account of ``parent`` (its access key and secret key) with the access key and secret key ``keys``."""
    server, (access_key, secret_key) = admin.connect(root), keys
    if isinstance(server, MinioAdmin):
        own = MinioAdmin(replace(root, access_key=parent[0], secret_key=parent[1]))
        own._library.add_service_account(access_key=access_key, secret_key=secret_key, policy=policy)
        return
    assert isinstance(server, RustfsAdmin)
    body = {"accessKey": access_key, "secretKey": secret_key, "targetUser": parent[0], "name": access_key}
    server.request("PUT", "add-service-accounts", body | ({"policy": policy} if policy else {}))


def remove_service_account(server: Admin, access_key: str) -> None:
    """Remove a service account; no error if it is gone."""
    if isinstance(server, MinioAdmin):
        try:
            server._command(server._library.delete_service_account, access_key=access_key)
        except ProviderError as error:
            if "service account is not found" not in str(error):
                raise
    else:
        assert isinstance(server, RustfsAdmin)
        try:
            server.request("DELETE", "delete-service-accounts", accessKey=access_key)
        except admin.RefusedError as refused:
            if refused.status != 404 and "NoSuch" not in refused.code:
                raise
