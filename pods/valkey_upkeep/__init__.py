"""Upkeep of a running Valkey: make streams and groups, trim streams, audit the keyspace, reload users.

Standard library only, and imports nothing from outside this directory: Kubernetes runs these very files from a
ConfigMap in a plain Python image (``python3 -m maintenance COMMAND --plan FILE``), the make targets import them.
What is wanted comes as a plan, a JSON document that ``components.valkey.plan`` makes from the mapping.
"""
