"""``Kind``: the base of our own resource kinds."""

from provider.base.plugin import ResourceType
from provider.settings import ProviderSettings


class Kind(ResourceType):
    """A resource type of the provider ``stellaops``; its module has its name.

    Modules of kinds are imported at every preview: they import client libraries, and what imports them, in methods.
    """

    marks_defaults = False

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
