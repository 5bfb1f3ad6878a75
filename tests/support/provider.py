"""Our own provider, configured for the stores that a test runs."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from provider.base.values import Secret
from provider.rustfs.store import Store
from provider.valkey.server import ValkeyServer
from tests.provider.base.harness import PluginClient, Resource, said

NOBODY = ValkeyServer(host="127.0.0.1", port=1, user="admin", password="none", tls=False)
NOWHERE = Store(endpoint="http://127.0.0.1:1", region="us-east-1", access_key="none", secret_key="none")


def settings(valkey: ValkeyServer = NOBODY, store: Store = NOWHERE) -> dict[str, Any]:
    """Configuration of the provider, as the engine sends it; stores that are not given answer nothing."""
    return {
        "postgresHost": "127.0.0.1",
        "postgresPort": "1",
        "postgresSslMode": "disable",
        "postgresAdminUser": "postgres",
        "postgresAdminPassword": "none",
        "postgresDatabase": "stellaops",
        "postgresMaintenanceDatabase": "postgres",
        "valkeyHost": valkey.host,
        "valkeyPort": str(valkey.port),
        "valkeyTls": "true" if valkey.tls else "false",
        "valkeyAdminUser": valkey.user,
        "valkeyAdminPassword": Secret(valkey.password),
        "objectStoreEndpoint": store.endpoint,
        "objectStoreRegion": store.region,
        "objectStoreAccessKey": Secret(store.access_key),
        "objectStoreSecretKey": Secret(store.secret_key),
    }


@contextmanager
def refused(pattern: str) -> Iterator[None]:
    """What happens inside must fail with one line for the user, in which ``pattern`` is found."""
    with pytest.raises(grpc.RpcError) as caught:
        yield
    text = said(caught.value)
    assert re.search(pattern, text), text


def refreshed(client: PluginClient, resource: Resource) -> Resource:
    """The resource as it is now; it must still exist."""
    found = client.refresh(resource)
    assert found is not None, f"{resource.token} {resource.id} is gone"
    return found
