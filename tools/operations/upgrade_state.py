"""``upgrade-state``: convert the dynamic resources of an older release to resources of the provider ``stellaops``.

A resource with another type is another resource for the engine: it would create each one, with new passwords, and then
delete the old one. This command exports the stack's state, rewrites types, properties and provider of these resources,
and imports the state. No store is contacted and no resource changes.
"""

import argparse
import json
import re
import uuid
from dataclasses import dataclass
from typing import Any

from components.config.keys import declared
from components.config.model import Settings
from components.config.namespace import NAMESPACE
from provider.errors import ProviderError
from provider.settings import CONFIGURATION
from tools.operations.stack import Stack

OLD = "pulumi-python:dynamic/storage:"
PROVIDER = "pulumi:providers:stellaops"
OLD_PROVIDER = "pulumi:providers:pulumi-python"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}

# Old class -> the new type, and its properties by their old and new names.
Names = dict[str, str]
KINDS: dict[str, tuple[str, Names]] = {
    "Credential": (
        "stellaops:index:Credential",
        {
            "postgres_password": "postgresPassword",
            "postgres_verifier": "postgresVerifier",
            "valkey_password": "valkeyPassword",
            "valkey_sha256": "valkeySha256",
        },
    ),
    "SchemaMigrations": (
        "stellaops:postgres:SchemaMigrations",
        {"append_only": "appendOnly", "tenant_tables": "tenantTables", "tenant_bypass": "tenantBypass"},
    ),
    "PostgresInventory": ("stellaops:postgres:Inventory", {"drop_schemas": "dropSchemas"}),
    "ValkeyUsers": ("stellaops:valkey:Users", {"hashes": "passwordHashes", "canonical": "canonicalRules"}),
    "ValkeyStreams": ("stellaops:valkey:Streams", {"allow_data_loss": "allowDataLoss"}),
    "Bucket": (
        "stellaops:objectstore:Bucket",
        {"object_lock": "objectLock", "force_destroy": "forceDestroy", "left_to_server": "leftToServer"},
    ),
    "ObjectStoreUser": ("stellaops:objectstore:User", {"secret_key": "secretKey"}),
}
_TYPE = re.compile(rf"{re.escape(OLD)}({'|'.join(KINDS)})(?![A-Za-z])")


@dataclass(frozen=True)
class Upgraded:
    """A rewritten state for ``pulumi stack import``, and the number of resources that were rewritten in it."""

    deployment: dict[str, Any]
    count: int


def run(stack: Stack, options: argparse.Namespace) -> int:
    """Rewrite the stack's state, if needed. Exit code 0. Raises ``ProviderError``."""
    found = upgraded(stack.export(), provider_inputs(stack))
    if not found.count:
        print("nothing to rewrite: the state has no dynamic resources of this program")
        return 0
    if options.dry_run:
        print(f"{found.count} resources would be rewritten")
        return 0
    stack.replace_state(found.deployment)
    print(f"{found.count} resources rewritten; pulumi preview must now show no change but an update of the provider")
    return 0


def provider_inputs(stack: Stack) -> dict[str, Any]:
    """Return the provider resource's inputs as the program declares them: text or JSON text, with secrets marked."""
    inputs: dict[str, Any] = {}
    defaults = {item.key.name: item.default for item in declared(Settings)}
    for name, property_ in CONFIGURATION.items():
        default = defaults[name]
        text = stack.config.get(f"{NAMESPACE}:{name}", default if isinstance(default, str) else json.dumps(default))
        inputs[name] = {**SECRET, "plaintext": json.dumps(text)} if property_.secret else text
    return inputs


def upgraded(exported: dict[str, Any], inputs: dict[str, Any]) -> Upgraded:
    """Rewrite an exported state; ``inputs`` are the provider resource's.

    Raises ``ProviderError`` if the state has pending operations of an interrupted run, which would be lost.
    """
    resources: list[dict[str, Any]] = exported.get("deployment", {}).get("resources") or []
    count = sum(item["type"].startswith(OLD) for item in resources)
    if not count:
        return Upgraded(exported, 0)
    if exported["deployment"].get("pending_operations"):
        raise ProviderError(
            "the last run was interrupted; run pulumi up with the previous release, then upgrade-state again"
        )
    stack = next(item for item in resources if item["type"] == "pulumi:pulumi:Stack")
    existing = next((item for item in resources if item["type"] == PROVIDER), None)
    provider = existing or _provider(stack, inputs)
    reference = f"{provider['urn']}::{provider['id']}"
    urns = {item["urn"] for item in resources}
    kept: list[dict[str, Any]] = []
    for item in resources:
        # After an ``up`` without this command, the state already has the new resource, with the store's content.
        replaced = item["type"].startswith(OLD) and _renamed(item["urn"]) in urns
        if item["type"] == OLD_PROVIDER or replaced:
            continue
        # Other resources refer to these by URN.
        renamed: dict[str, Any] = json.loads(_renamed(json.dumps(item)))
        if item["type"].startswith(OLD):
            renamed = _rewritten(renamed, KINDS[item["type"].removeprefix(OLD)][1], reference)
        kept.append(renamed)
        if item is stack and provider is not existing:
            kept.append(provider)
    return Upgraded({**exported, "deployment": {**exported["deployment"], "resources": kept}}, count)


def _renamed(text: str) -> str:
    return _TYPE.sub(lambda match: KINDS[match[1]][0], text)


def _rewritten(item: dict[str, Any], names: Names, provider: str) -> dict[str, Any]:
    rewritten = {**item, "provider": provider}
    for side in ("inputs", "outputs"):
        values = {names.get(name, name): value for name, value in item.get(side, {}).items() if name != "__provider"}
        # The old resource kinds stored None for unknown values.
        rewritten[side] = {name: value for name, value in values.items() if value is not None}
    if dependencies := item.get("propertyDependencies"):
        rewritten["propertyDependencies"] = {
            names.get(name, name): urns for name, urns in dependencies.items() if name != "__provider"
        }
    if secret := item.get("additionalSecretOutputs"):
        rewritten["additionalSecretOutputs"] = [names.get(name, name) for name in secret]
    return rewritten


def _provider(stack: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """Create the provider resource in the form of the engine's state."""
    urn = str(stack["urn"])
    head = urn.partition("::pulumi:pulumi:Stack::")[0]
    return {
        "urn": f"{head}::{PROVIDER}::stellaops",
        "custom": True,
        "id": str(uuid.uuid4()),
        "type": PROVIDER,
        "inputs": inputs,
        "outputs": inputs,
        "parent": urn,
    }
