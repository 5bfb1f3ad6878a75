"""What backups are called, for the component and for the day-two commands."""

BUCKET = "backups"
# In Valkey; the hyphen keeps it apart from modules and services.
VALKEY_USER = "backup-agent"


def role(database: str) -> str:
    """The login that reads everything: dumps, base backups, WAL."""
    return f"{database}_backup"


def slot(database: str) -> str:
    """The replication slot that keeps WAL until it was received."""
    return f"{database}_backup"
