"""Valkey on Kubernetes: one primary, or a primary with replicas and Sentinel, and the jobs that look after it."""
