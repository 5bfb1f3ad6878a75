"""Backups: their bucket, the login and users that make them, and the jobs on Kubernetes."""
