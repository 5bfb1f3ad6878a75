"""Which commands each key type needs, by what a user may do with it: the words of the ACL selectors.

Only commands that Valkey 8 has: an ACL with a word that the server does not know is refused as a whole. Left out on
purpose: scripts and functions (they hide what they touch), KEYS and SCAN (they show other modules' keys), everything
in @dangerous and @admin, publish/subscribe, and on streams DEL, XTRIM, XGROUP DESTROY and XGROUP SETID: retention
and groups belong to the provisioning, and one consumer must not take entries away from another.
"""

# For every user, on no key at all. AUTH, HELLO, RESET and QUIT need no permission.
CONNECTION = (
    "ping", "echo", "select", "multi", "exec", "discard", "unwatch",
    "client|id", "client|getname", "client|setname", "client|setinfo",
)  # fmt: skip

_LOOK = ("exists", "type", "ttl", "pttl", "expiretime", "pexpiretime", "watch")
_CHANGE = ("del", "unlink", "expire", "pexpire", "expireat", "pexpireat", "persist")

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

# What the maintenance user needs: on no key, on any key (metadata alone), and on streams.
MAINTENANCE = {
    "server": ("ping", "time", "scan", "role", "multi", "exec", "discard", "acl|load", "acl|users"),
    "key": ("type", "pttl"),
    "stream": ("xgroup|create", "xinfo|groups", "xlen", "xpending", "xrange", "xtrim"),
}

# What ``various`` stands for: metrics are counters, gauges, histograms and latest samples, never streams.
VARIOUS = ("string", "hash", "zset", "list", "set")


def commands(verb: str, key_type: str) -> tuple[str, ...]:
    """The commands that ``verb`` (read, write, produce, consume) needs on keys of ``key_type``, sorted.

    A shared stream's ``write`` is both ends of it, and making groups: nobody provisions those of ``queue:*``.
    """
    if verb == "produce":
        return tuple(sorted(_PRODUCE))
    if verb == "consume":
        return tuple(sorted({*_LOOK, *_CONSUME}))
    if key_type == "stream":
        more = (*_PRODUCE, *_CONSUME, "xdel", "xgroup|create") if verb == "write" else ()
        return tuple(sorted({*_LOOK, *_READ["stream"], *more}))
    types = VARIOUS if key_type == "various" else (key_type,)
    found = {*_LOOK, *(command for name in types for command in _READ[name])}
    if verb == "write":
        found |= {*_CHANGE, *(command for name in types for command in _WRITE[name])}
    return tuple(sorted(found))
