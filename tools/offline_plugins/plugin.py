"""The base class of the offline plugins: their title, description and hint in errors."""

from provider.base.plugin import Plugin
from provider.base.schema import Properties


class OfflinePlugin(Plugin):
    """A plugin that replaces the official one of the same name."""

    def __init__(self, name: str, configuration: Properties) -> None:
        super().__init__(
            name,
            configuration,
            title=f"offline {name} plugin",
            description=f"The part of the {name} provider that works without a download",
            hint="; use the official plugin for it: STELLAOPS_PLUGINS=official",
        )
