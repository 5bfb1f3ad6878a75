"""A recorder of what a program registers: mocks accept anything, so tests assert on this instead."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pulumi
from pulumi.runtime import mocks

from components.resources.provider import Provider


@dataclass(frozen=True)
class Registered:
    """One resource: its type token, its name and its inputs by their wire names."""

    type: str
    name: str
    inputs: dict[str, Any]
    provider: str


@dataclass
class Recorder(mocks.Mocks):
    """Answers every registration with its own inputs, and remembers it."""

    resources: list[Registered] = field(default_factory=list)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        self.resources.append(Registered(args.typ, args.name, args.inputs, args.provider or ""))
        outputs = dict(args.inputs)
        if args.typ.endswith(":Credential"):
            outputs |= {
                "postgresPassword": f"{args.name}-postgres_password",
                "postgresVerifier": f"{args.name}-postgres_verifier",
                "valkeyPassword": f"{args.name}-valkey_password",
            }
            outputs["valkeySha256"] = hashlib.sha256(args.name.encode()).hexdigest()
        if args.typ == "stellaops:postgres:AccessRevisions":
            outputs |= {"revisions": dict.fromkeys(args.inputs["access"], 1), "last": 1}
        if args.typ == "stellaops:objectstore:User":
            outputs["secretKey"] = f"{args.name}-secret_key"
        return f"{args.name}-id", outputs

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"the program must not call {args.token}")

    def of(self, token: str) -> dict[str, dict[str, Any]]:
        """Name -> inputs of every resource whose type ends in ``token``; a name that comes twice is an error."""
        found = [resource for resource in self.resources if resource.type.endswith(token)]
        names = [resource.name for resource in found]
        assert len(set(names)) == len(names), f"two {token} with one name would have one URN: {names}"
        return {resource.name: resource.inputs for resource in found}


def stellaops_provider() -> Provider:
    """The provider ``stellaops`` for a component that is tested by itself; nothing answers where it points."""
    return Provider(
        "stellaops",
        postgres_host="db",
        postgres_port=5432,
        postgres_ssl_mode="disable",
        postgres_admin_user="admin",
        postgres_admin_password="pw",
        postgres_database="stellaops",
        postgres_maintenance_database="postgres",
        valkey_host="valkey",
        valkey_port=6379,
        valkey_tls=False,
        valkey_admin_user="admin",
        valkey_admin_password="admin-password",
        object_store_endpoint="http://rustfs:9000",
        object_store_region="us-east-1",
        object_store_access_key="access",
        object_store_secret_key="secret",
    )


def record(program: Callable[[], Awaitable[None] | None], config: dict[str, str] | None = None) -> Recorder:
    """Run ``program`` on mocks to its end and return what it registered."""
    recorder = Recorder()
    loops: list[asyncio.AbstractEventLoop] = []
    new_event_loop = asyncio.new_event_loop

    def remembered() -> asyncio.AbstractEventLoop:
        loops.append(new_event_loop())
        return loops[-1]

    async def run() -> None:
        rest = program()
        if rest is not None:
            await rest

    # The SDK's mocks leave a loop behind in each of their threads.
    with patch("asyncio.new_event_loop", remembered):
        asyncio.set_event_loop(asyncio.new_event_loop())
        mocks.set_mocks(recorder, project="stellaops-storage", stack="test", preview=False)
        pulumi.runtime.set_all_config(config or {})
        try:
            pulumi.runtime.test(run)()  # type: ignore[no-untyped-call]
        finally:
            for loop in loops:
                loop.close()
    return recorder
