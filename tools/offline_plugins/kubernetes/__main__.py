"""``python -m tools.offline_plugins.kubernetes``: the process that the engine starts."""

from provider.base.server import main
from tools.offline_plugins.kubernetes.plugin import KubernetesPlugin

main(KubernetesPlugin())
