"""The backup agent: uploads, manifests, WAL and Valkey snapshots, for backup pods and for ``make backup``.

Uses the standard library only and imports nothing from outside this package: pods mount its files into a plain Python
image.
"""
