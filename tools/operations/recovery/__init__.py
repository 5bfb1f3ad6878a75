"""What ``backup``, ``restore`` and ``drill`` are made of: taking backups, restoring beside the running stores, verifying."""
