"""Measurements, run by hand: ``python3 -m tools bench``. They print numbers and judge nothing."""
