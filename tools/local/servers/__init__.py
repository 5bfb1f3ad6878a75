"""The servers of the local stack, each in a directory of its own."""
