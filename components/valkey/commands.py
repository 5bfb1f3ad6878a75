"""The commands of ACL selectors, by verb and key type.

Only commands that Valkey 8 has: a server refuses an ACL that has an unknown command. Deliberately left out: scripts and
functions (they hide which keys they use), KEYS and SCAN (they show other modules' keys), everything in @dangerous and
@admin, publish/subscribe, and on streams DEL, XTRIM, XGROUP DESTROY and XGROUP SETID: provisioning manages retention and
groups, and one consumer must not remove another's entries.
"""

# For every user; these commands use no keys. AUTH, HELLO, RESET and QUIT need no permission.
CONNECTION = (
    "ping", "echo", "select", "multi", "exec", "discard", "unwatch",
    "client|id", "client|getname", "client|setname", "client|setinfo",
)  # fmt: skip

_INSPECT = ("exists", "type", "ttl", "pttl", "expiretime", "pexpiretime", "watch")
_DELETE_OR_EXPIRE = ("del", "unlink", "expire", "pexpire", "expireat", "pexpireat", "persist")

_READ = {
    "string": ("get", "mget", "getrange", "strlen"),
    "list": ("lrange", "llen", "lindex", "lpos"),
    "set": (
        "smembers",
        "sismember",
        "smismember",
        "scard",
        "srandmember",
        "sscan",
        "sinter",
        "sintercard",
        "sunion",
        "sdiff",
    ),
    "hash": ("hget", "hmget", "hgetall", "hkeys", "hvals", "hlen", "hexists", "hstrlen", "hscan"),
    "zset": ("zrange", "zrangebyscore", "zscore", "zmscore", "zcard", "zcount", "zrank", "zrevrank", "zscan"),
    "stream": ("xlen", "xrange", "xrevrange", "xread", "xpending", "xinfo|stream", "xinfo|groups", "xinfo|consumers"),
}

_WRITE = {
    "string": (
        "set",
        "setex",
        "psetex",
        "setnx",
        "mset",
        "getex",
        "getdel",
        "incr",
        "incrby",
        "incrbyfloat",
        "decr",
        "decrby",
    ),
    "list": ("lpush", "rpush", "lpushx", "rpushx", "lpop", "rpop", "lset", "linsert", "lrem", "ltrim"),
    "set": ("sadd", "srem", "spop"),
    "hash": ("hset", "hsetnx", "hdel", "hincrby", "hincrbyfloat"),
    "zset": ("zadd", "zincrby", "zrem", "zremrangebyscore", "zremrangebyrank", "zpopmin", "zpopmax"),
}

_PRODUCE = ("xadd", "xlen")
_CONSUME = (
    *_READ["stream"], "xreadgroup", "xack", "xclaim", "xautoclaim", "xgroup|createconsumer", "xgroup|delconsumer",
)  # fmt: skip

# The maintenance user's commands: without keys, on any key (metadata only), and on streams.
MAINTENANCE = {
    "server": ("ping", "time", "info", "scan", "role", "multi", "exec", "discard", "acl|load", "acl|users"),
    "key": ("type", "pttl"),
    "stream": ("xgroup|create", "xinfo|groups", "xinfo|stream", "xlen", "xpending", "xrange", "xtrim"),
}

# The key types of ``various``: metrics are counters, gauges, histograms and latest samples, never streams.
VARIOUS = ("string", "hash", "zset", "list", "set")


def commands(verb: str, key_type: str) -> tuple[str, ...]:
    """The commands that ``verb`` (read, write, produce, consume) needs on keys of ``key_type``, sorted.

    ``write`` on a stream includes producing, consuming and creating groups: the groups of ``queue:*`` are not
    provisioned.
    """
    if verb == "produce":
        return tuple(sorted(_PRODUCE))
    if verb == "consume":
        return tuple(sorted({*_INSPECT, *_CONSUME}))
    if key_type == "stream":
        extra = (*_PRODUCE, *_CONSUME, "xdel", "xgroup|create") if verb == "write" else ()
        return tuple(sorted({*_INSPECT, *_READ["stream"], *extra}))
    types = VARIOUS if key_type == "various" else (key_type,)
    selected = {*_INSPECT, *(command for name in types for command in _READ[name])}
    if verb == "write":
        selected |= {*_DELETE_OR_EXPIRE, *(command for name in types for command in _WRITE[name])}
    return tuple(sorted(selected))
