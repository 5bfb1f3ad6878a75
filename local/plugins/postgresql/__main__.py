"""``python -m local.plugins.postgresql``: the process that the engine starts."""

from local.plugins.postgresql.plugin import PostgresPlugin
from local.plugins.server import main

main(PostgresPlugin())
