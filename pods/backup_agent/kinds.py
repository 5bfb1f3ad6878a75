"""The kinds of backups. Each value is the prefix of its backups in the bucket.

The agent and the component that declares its jobs share these names, so this module imports nothing.
"""

DUMP, BASE, RDB = "postgres/dump", "postgres/base", "valkey/rdb"
KINDS = (DUMP, BASE, RDB)
WAL = "postgres/wal"
