"""``python -m local.plugins.kubernetes``: the process that the engine starts."""

from local.plugins.kubernetes.plugin import KubernetesPlugin
from local.plugins.server import main

main(KubernetesPlugin())
