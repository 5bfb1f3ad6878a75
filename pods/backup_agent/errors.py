"""The exception of backups and restores."""


class BackupError(Exception):
    """An error with its remedy, in one line."""
