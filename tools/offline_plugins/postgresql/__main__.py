"""``python -m tools.offline_plugins.postgresql``: the process that the engine starts."""

from provider.base.server import main
from tools.offline_plugins.postgresql.plugin import PostgresPlugin

main(PostgresPlugin())
