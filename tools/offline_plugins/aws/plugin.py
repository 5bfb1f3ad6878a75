"""The plugin: four settings of buckets at one endpoint."""

from typing import Any

from provider.errors import ProviderError
from tools.offline_plugins.aws.settings import ObjectLock, Policy, PublicAccessBlock, Versioning
from tools.offline_plugins.aws.store import CONFIGURATION, S3Endpoint
from tools.offline_plugins.plugin import OfflinePlugin


class AwsPlugin(OfflinePlugin):
    def __init__(self) -> None:
        super().__init__("aws", CONFIGURATION)
        self._store: S3Endpoint | None = None
        for kind in (Versioning, Policy, ObjectLock, PublicAccessBlock):
            self.types[kind.token] = kind(self.store)

    def configure(self, configuration: dict[str, Any]) -> None:
        self._store = S3Endpoint(configuration)

    def store(self) -> S3Endpoint:
        if self._store is None:
            raise ProviderError("the provider has no configuration yet")
        return self._store
