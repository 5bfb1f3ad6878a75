"""Measurements, started manually with ``python3 -m tools bench``. They only print numbers."""
