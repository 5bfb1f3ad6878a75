"""The parts of the benchmark; `make bench` can run each alone. Has no imports because the CLI's help loads it."""

PARTS = ("no-op", "first-up", "growth")
