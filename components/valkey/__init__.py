"""Valkey: configuration, users, streams and the Kubernetes deployment, as the mapping says."""
