"""Valkey: configuration, users and streams of the mapping, and the Kubernetes deployment."""
