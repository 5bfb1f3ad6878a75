"""Memory, disk size and time limits of a Valkey pod, from ``maxmemory``; docs/valkey-kubernetes.md has the numbers."""

from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30

# Rendered into valkey-config/node.conf.j2.
BACKLOG_MIB = 64
REPLICA_BUFFER_MIB = 256
# The process itself, the AOF buffer, clients that are connecting, probes.
BASE_MIB = 128
# Memory that the allocator cannot return, in percent of maxmemory.
FRAGMENTATION_PERCENT = 10
# While a snapshot or an AOF rewrite runs (never both), each page that a client changes is copied: at worst all.
COPY_ON_WRITE_PERCENT = 100

# An AOF is rewritten when it has doubled: 2. The rewritten AOF: 1. Writes of clients meanwhile: 1.
AOF_PER_MAXMEMORY = 4
# The snapshot, and the new one that will replace it.
SNAPSHOT_PER_MAXMEMORY = 2

SLOW_DISK_MIB_PER_SECOND = 50
FAILOVER_SECONDS = 30
SHUTDOWN_SECONDS = 30  # the last fsync, and lagging replicas: shutdown-timeout is 10 s


@dataclass(frozen=True)
class PodResources:
    """``memory`` and ``disk`` in bytes; ``termination_seconds`` and ``startup_seconds`` are limits."""

    memory: int
    disk: int
    termination_seconds: int
    startup_seconds: int


def sizing(maxmemory: int, *, replicas: int, strategy: tuple[str, ...]) -> PodResources:
    """Calculate the resources. ``maxmemory`` in bytes; ``strategy`` is ``backups.valkey.strategy`` of the mapping."""
    memory = maxmemory * (100 + COPY_ON_WRITE_PERCENT + FRAGMENTATION_PERCENT) // 100 + BASE_MIB * MIB
    if replicas:
        memory += (BACKLOG_MIB + replicas * REPLICA_BUFFER_MIB) * MIB
    copies = ("aof" in strategy) * AOF_PER_MAXMEMORY + ("rdb-snapshot" in strategy) * SNAPSHOT_PER_MAXMEMORY
    write_seconds = -(-maxmemory // (SLOW_DISK_MIB_PER_SECOND * MIB))
    return PodResources(
        memory=_round_up(memory, 64 * MIB),
        disk=_round_up(max(maxmemory * copies, GIB), GIB),
        # preStop saves or fails over; then the server saves again when it stops.
        termination_seconds=2 * write_seconds + FAILOVER_SECONDS + SHUTDOWN_SECONDS,
        # An AOF of twice maxmemory, read no faster than it is written, and a full copy from the primary.
        startup_seconds=max(1800, 10 * write_seconds),
    )


def quantity(size: int) -> str:
    """A size in the API server's canonical form (6Gi, never 6144Mi), so that reading it back shows no difference."""
    for unit, suffix in ((GIB, "Gi"), (MIB, "Mi")):
        if size % unit == 0:
            return f"{size // unit}{suffix}"
    return str(size)


def _round_up(size: int, step: int) -> int:
    return -(-size // step) * step
