"""Tools that are built from pinned Go modules when the machine does not have them: one directory a module."""
