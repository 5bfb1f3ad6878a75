"""Compare users: those of the stack with their policies, and everybody else who has access to the stack's buckets.

On AWS, IAM has the users and policies; ``pulumi refresh`` compares them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from components.rustfs.inventory import DeclaredUser
from components.rustfs.policy_documents import Document, by_name
from provider.difference import Difference
from provider.rustfs import admin
from provider.rustfs.admin import Group, ServiceAccount
from provider.rustfs.user import ENABLED, live_policy, memberships, state_of
from tools.operations.drift_rustfs import commands, statements
from tools.operations.drift_rustfs.permissions import Permission, describe, granted, unlimited
from tools.operations.stack import Stack


@dataclass(frozen=True)
class Accounts:
    """Users (access key -> as in ``Admin.users``), policies, groups and service accounts of a server.

    ``admin`` is the access key of the stack's admin: root's, a user's or a service account's.
    """

    admin: str
    users: Mapping[str, dict[str, Any]]
    policies: Mapping[str, Document]
    groups: Mapping[str, Group]
    service_accounts: tuple[ServiceAccount, ...]
    buckets: tuple[str, ...]

    @staticmethod
    def of(stack: Stack) -> "Accounts":
        """Raises ``ProviderError``."""
        store = stack.object_store
        server = admin.connect(store)
        return Accounts(
            admin=store.access_key,
            users=server.users(),
            policies=server.policies(),
            groups=server.groups(),
            service_accounts=tuple(server.service_accounts()),
            buckets=tuple(bucket.physical for bucket in stack.buckets),
        )

    def sources(self, name: str) -> dict[str, Document]:
        """Where a user's permissions come from: ``policy readwrite``, ``policy readwrite of group staff`` -> document."""
        user = self.users.get(name, {})
        found = {f"policy {policy}": self._document(policy) for policy in _names(user.get("policyName"))}
        for group in (self.groups[item] for item in memberships(user) if item in self.groups):
            if group.enabled:
                found |= {f"policy {policy} of group {group.name}": self._document(policy) for policy in group.policies}
        return found

    def permissions(self, name: str) -> frozenset[Permission]:
        """What a user may do. Only root is not in the server's list of users."""
        if name not in self.users:
            return self._unlimited
        if self.users[name].get("status") != ENABLED:
            return frozenset()
        return granted(self.sources(name).values(), self.buckets)

    def permissions_of(self, account: ServiceAccount) -> frozenset[Permission]:
        if not account.enabled:
            return frozenset()
        if account.policy is None:
            return self.permissions(account.parent)
        own = granted([account.policy], self.buckets)
        return own & self.permissions(account.parent) if account.parent in self.users else own

    def _document(self, policy: str) -> Document:
        return self.policies.get(policy, {})

    @cached_property
    def _unlimited(self) -> frozenset[Permission]:
        return unlimited(self.buckets)


def differences(stack: Stack) -> Iterator[Difference]:
    """Yield the differences of all users. Raises ``ProviderError``."""
    accounts = Accounts.of(stack)
    declared = {user.access_key: user for user in stack.object_store_users}
    for user in declared.values():
        yield from _declared(stack, accounts, user)
    for name in sorted(accounts.users.keys() - declared.keys() - {accounts.admin}):
        yield from _stranger(stack, accounts, name)
    for account in accounts.service_accounts:
        if account.access_key != accounts.admin:
            yield from _service_account(stack, accounts, account)


def _declared(stack: Stack, accounts: Accounts, declared: DeclaredUser) -> Iterator[Difference]:
    name = declared.access_key
    user = accounts.users.get(name)
    if user is None:
        yield Difference(f"user {name} does not exist")
        return
    state = state_of(stack.object_store, name, user, stack.object_store_secret_key(declared.name))
    if state != ENABLED:
        yield Difference(f"user {name} is {state}")
    live = live_policy(dict(accounts.policies), name, user)
    for difference in statements.differences(f"user {name}", live, by_name(declared.policy)):
        yield Difference(difference)


def _stranger(stack: Stack, accounts: Accounts, name: str) -> Iterator[Difference]:
    """Report a user outside the stack that has access to the stack's buckets, or can obtain it."""
    permissions = accounts.permissions(name)
    if permissions:
        sources = accounts.sources(name)
        by = [source for source, document in sources.items() if granted([document], accounts.buckets) & permissions]
        yield Difference(
            f"user {name} may {describe(permissions)} by {', '.join(by)}: not in the mapping",
            commands.disable_user(stack, name),
        )


def _service_account(stack: Stack, accounts: Accounts, account: ServiceAccount) -> Iterator[Difference]:
    permissions = accounts.permissions_of(account)
    if permissions:
        yield Difference(
            f"service account {account.access_key} of {account.parent} may {describe(permissions)}: not in the mapping",
            commands.remove_service_account(stack, account.access_key),
        )


def _names(text: Any) -> list[str]:
    return [name for name in str(text or "").split(",") if name]
