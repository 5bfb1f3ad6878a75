"""The backup agent: uploads, manifests, WAL and Valkey snapshots, for backup pods and for ``make backup``.

Uses the standard library only and, of other packages, only ``pods.valkey_upkeep.resp``: pods mount these files into a
plain Python image.
"""
