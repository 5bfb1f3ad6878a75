"""Loopback ports: chosen free once, then remembered."""

import random
import socket

LOOPBACK = "127.0.0.1"
# Below the range that Linux and macOS take for outgoing connections, which would occupy a stopped server's port.
RANGE = range(20000, 30000)


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        # As servers do: connections that are only just closed are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose() -> int:
    """A free port. Random, so that two stacks that start at once hardly meet."""
    for port in random.sample(RANGE, 200):
        if is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def holder(port: int) -> str:
    """Who listens there, like ``nginx (pid 42)``; ``another process`` when that can't be seen."""
    import psutil

    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return "another process"
