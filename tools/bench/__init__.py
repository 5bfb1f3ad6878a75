"""Measurements, run by hand: ``python -m tools.bench.NAME``. They print numbers and judge nothing."""
