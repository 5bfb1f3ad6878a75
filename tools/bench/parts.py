"""The parts of the benchmark, each of which `make bench` can run alone. Without imports: the help lists them."""

PARTS = ("no-op", "first-up", "growth")
