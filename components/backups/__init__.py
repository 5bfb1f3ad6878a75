"""Backups: what runs on Kubernetes and by hand, where backups lie, and who makes them."""
