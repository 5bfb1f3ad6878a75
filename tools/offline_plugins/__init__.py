"""Offline plugins: Pulumi resource providers for networks where the official ones cannot be downloaded.

Each implements the engine's ``pulumirpc.ResourceProvider`` protocol with the type tokens, properties, ids and outputs
of the official plugin of the same name, for the resource types that this stack uses. ``install`` installs them.
"""
