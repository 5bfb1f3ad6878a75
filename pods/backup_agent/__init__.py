"""What runs inside of a backup pod, and below ``make backup``: uploads, manifests, WAL, Valkey snapshots.

Standard library only and no import from outside of this package: the pods mount its files into a plain Python image.
"""
