"""Offline plugins: Pulumi plugins in Python for exactly the resource types that this stack uses."""
