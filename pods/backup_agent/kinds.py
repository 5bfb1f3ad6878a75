"""The kinds of backups: each is the folder in the bucket under which its backups lie.

The agent and the component that declares its jobs share these names, so this module imports nothing.
"""

DUMP, BASE, RDB = "postgres/dump", "postgres/base", "valkey/rdb"
KINDS = (DUMP, BASE, RDB)
WAL = "postgres/wal"
