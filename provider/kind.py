"""``Kind``: the base of our own resource kinds."""

from provider.base.plugin import ResourceType
from provider.settings import ProviderSettings


class Kind(ResourceType):
    """A resource kind of the provider ``stellaops``, in the module of the same name.

    Every preview imports all kinds, so import client libraries, and modules that import them, inside methods.
    """

    marks_defaults = False

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
