"""The backup agent: uploads, manifests, WAL and Valkey snapshots, for backup pods and for ``make backup``.

Imports only the standard library and ``pods.valkey_upkeep.resp``, because pods mount these files into a plain Python
image.
"""
