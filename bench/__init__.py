"""Measurements, run by hand: ``python -m bench.NAME``. They print numbers and judge nothing."""
