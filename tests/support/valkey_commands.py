"""What each verb of the mapping means in commands, written out independently of ``components/valkey``."""

COMMANDS = {
    "GET": "GET {key}", "SET": "SET {key} v EX 60", "INCR": "INCR {key}", "DEL": "DEL {key}", "EXPIRE": "EXPIRE {key} 60",
    "TTL": "TTL {key}", "EXISTS": "EXISTS {key}",
    "SADD": "SADD {key} m", "SMEMBERS": "SMEMBERS {key}", "LPUSH": "LPUSH {key} v", "LRANGE": "LRANGE {key} 0 1",
    "HSET": "HSET {key} f v", "HGETALL": "HGETALL {key}", "ZADD": "ZADD {key} 1 m", "ZRANGE": "ZRANGE {key} 0 1",
    "XADD": "XADD {key} * f v", "XLEN": "XLEN {key}", "XRANGE": "XRANGE {key} - +", "XREAD": "XREAD STREAMS {key} 0",
    "XREADGROUP": "XREADGROUP GROUP g c STREAMS {key} >", "XACK": "XACK {key} g 1-1", "XCLAIM": "XCLAIM {key} g c 0 1-1",
    "XAUTOCLAIM": "XAUTOCLAIM {key} g c 0 0", "XPENDING": "XPENDING {key} g", "XDEL": "XDEL {key} 1-1",
    "XTRIM": "XTRIM {key} MAXLEN 1000", "XGROUP CREATE": "XGROUP CREATE {key} g2 0", "XGROUP DESTROY": "XGROUP DESTROY {key} g2",
}  # fmt: skip

LOOK = {"TTL", "EXISTS"}
READ = {"string": {"GET"}, "set": {"SMEMBERS"}, "list": {"LRANGE"}, "hash": {"HGETALL"}, "zset": {"ZRANGE"}}
WRITE = {"string": {"SET", "INCR"}, "set": {"SADD"}, "list": {"LPUSH"}, "hash": {"HSET"}, "zset": {"ZADD"}}
CHANGE = {"DEL", "EXPIRE"}
WATCH_STREAM = LOOK | {"XLEN", "XRANGE", "XREAD", "XPENDING"}
CONSUME = WATCH_STREAM | {"XREADGROUP", "XACK", "XCLAIM", "XAUTOCLAIM"}
PRODUCE = {"XADD", "XLEN"}


def allowed(verb: str, key_type: str) -> set[str]:
    """The commands that a verb of the mapping allows on a key of that type."""
    if verb == "produce":
        return PRODUCE
    if verb == "consume":
        return CONSUME
    if key_type == "stream":
        return CONSUME | PRODUCE | {"XDEL", "XGROUP CREATE"} if verb == "write" else WATCH_STREAM
    types = set(READ) if key_type == "various" else {key_type}
    commands = LOOK.union(*(READ[name] for name in types))
    return commands | CHANGE.union(*(WRITE[name] for name in types)) if verb == "write" else commands
