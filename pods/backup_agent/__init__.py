"""What runs inside of a backup pod, and below ``make backup``: uploads, manifests, WAL, Valkey snapshots.

Standard library only, and of other packages only ``pods.valkey_upkeep.resp``: the pods mount these files into a plain
Python image.
"""
