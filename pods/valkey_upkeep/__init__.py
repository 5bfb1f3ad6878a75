"""Maintain a running Valkey: create streams and groups, trim streams, audit keys, reload users.

Uses the standard library only and imports nothing from outside this directory: Kubernetes runs these files from a
ConfigMap in a plain Python image (``python3 -m maintenance COMMAND --plan FILE``), and the commands in ``tools`` import
them. The desired state is the plan, a JSON document that ``components.valkey.plan`` creates from the mapping.
"""
