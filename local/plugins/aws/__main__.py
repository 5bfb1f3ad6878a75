"""``python -m local.plugins.aws``: the process that the engine starts."""

from local.plugins.aws.plugin import AwsPlugin
from local.plugins.server import main

main(AwsPlugin())
