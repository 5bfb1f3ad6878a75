"""What goes wrong with a backup, for the user to read."""


class BackupError(Exception):
    """What is wrong and what to do, in one line."""
