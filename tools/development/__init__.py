"""What the development commands do: checks, tests, measurements."""
