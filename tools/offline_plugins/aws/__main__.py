"""``python -m tools.offline_plugins.aws``: the process that the engine starts."""

from provider.base.server import main
from tools.offline_plugins.aws.plugin import AwsPlugin

main(AwsPlugin())
