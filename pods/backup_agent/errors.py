"""The error of a backup or restore."""


class BackupError(Exception):
    """An error with its remedy, in one line."""
