"""Memory, disk and time of a Valkey pod, from ``maxmemory``: stated rules, the same numbers that the docs explain."""

from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30

# valkey-config/node.conf.j2 has the same two.
BACKLOG_MIB = 64
REPLICA_BUFFER_MIB = 256
# The process itself, what waits to be written to the AOF, clients that are just connecting, probes.
BASE_MIB = 128
# What the allocator holds and cannot give back, per cent of maxmemory.
FRAGMENTATION_PERCENT = 10
# While a snapshot or an AOF rewrite runs (never both), each page that a client changes stands twice: at worst all.
COPY_ON_WRITE_PERCENT = 100

# An AOF is rewritten when it has doubled: 2. The rewrite writes a new one: 1. What clients write meanwhile: 1.
AOF_PER_MAXMEMORY = 4
# The snapshot, and the one that is being written before it replaces it.
SNAPSHOT_PER_MAXMEMORY = 2

SLOW_DISK_MIB_PER_SECOND = 50
FAILOVER_SECONDS = 30
SHUTDOWN_SECONDS = 30  # the last fsync, and lagging replicas: shutdown-timeout is 10 s


@dataclass(frozen=True)
class PodResources:
    """``memory`` and ``disk`` in bytes; ``stopping`` and ``loading`` in seconds, at most."""

    memory: int
    disk: int
    stopping: int
    loading: int


def sizing(maxmemory: int, *, replicas: int, strategy: tuple[str, ...]) -> PodResources:
    """The rule. ``maxmemory`` in bytes; ``strategy`` is that of the mapping's ``backups.valkey``."""
    memory = maxmemory * (100 + COPY_ON_WRITE_PERCENT + FRAGMENTATION_PERCENT) // 100 + BASE_MIB * MIB
    if replicas:
        memory += (BACKLOG_MIB + replicas * REPLICA_BUFFER_MIB) * MIB
    times = ("aof" in strategy) * AOF_PER_MAXMEMORY + ("rdb-snapshot" in strategy) * SNAPSHOT_PER_MAXMEMORY
    writing = -(-maxmemory // (SLOW_DISK_MIB_PER_SECOND * MIB))
    return PodResources(
        memory=_up(memory, 64 * MIB),
        disk=_up(max(maxmemory * times, GIB), GIB),
        # preStop saves or fails over; then the server saves once more as it ends.
        stopping=2 * writing + FAILOVER_SECONDS + SHUTDOWN_SECONDS,
        # An AOF of twice maxmemory, read no faster than it is written, and a full copy from the primary.
        loading=max(1800, 10 * writing),
    )


def quantity(size: int) -> str:
    """A size as the API server writes it itself, so that what is read back does not differ: 6Gi, never 6144Mi."""
    for unit, suffix in ((GIB, "Gi"), (MIB, "Mi")):
        if size % unit == 0:
            return f"{size // unit}{suffix}"
    return str(size)


def _up(size: int, step: int) -> int:
    return -(-size // step) * step
