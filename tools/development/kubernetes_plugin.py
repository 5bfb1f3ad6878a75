"""``kubernetes-plugin``: the official Kubernetes plugin from its sources, for stacks that deploy to a cluster."""

import os
from pathlib import Path

from tools.local.console import console
from tools.local.engine import tools
from tools.offline_plugins import install as plugins


def install() -> int:
    """Build the plugin and install it for the user's own engine."""
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    place = plugins.install_built(home.absolute(), tools.kubernetes_plugin(console))
    console.say(f"the official Kubernetes plugin is installed in {place}")
    return 0
