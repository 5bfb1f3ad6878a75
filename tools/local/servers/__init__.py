"""The servers of the local stack: each lives in a directory of its own and can be started, asked and stopped."""
