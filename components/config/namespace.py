"""The namespace of this project's stack config keys."""

NAMESPACE = "stellaops-storage"
