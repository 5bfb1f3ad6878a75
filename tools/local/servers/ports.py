"""Free ports on the loopback address, and the process that uses a port."""

import random
import socket

LOOPBACK = "127.0.0.1"
# Below the range for outgoing connections on Linux and macOS, which could occupy the port of a stopped server.
RANGE = range(20000, 30000)


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        # As servers do, so that connections in TIME_WAIT don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose() -> int:
    """A free port; random, so that two stacks that start at the same time rarely choose the same one."""
    for port in random.sample(RANGE, 200):
        if is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def holder(port: int) -> str:
    """The process that listens on the port, like ``nginx (pid 42)``; ``another process`` if its name is not visible."""
    import psutil

    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return "another process"
