"""Tools that are built from pinned Go modules if the machine lacks them: one directory per module."""
