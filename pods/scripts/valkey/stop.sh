#!/bin/sh
# Before a server stops: fail over to a replica, or save a snapshot.
#
# Environment: as in start.sh; NODES is empty without replicas. LOCAL: this server's address. NODE_USER. FAILOVER_SECONDS.
set -eu
# Valkey 8 reads this variable under the name that Redis uses.
REDISCLI_AUTH=$(cat "$PASSWORD_FILE")
export REDISCLI_AUTH

ask() { # HOST PORT COMMAND...
    host=$1 port=$2
    shift 2
    # shellcheck disable=SC2086 # options, separated by spaces
    timeout "${ANSWER_SECONDS:-300}" valkey-cli -e -h "$host" -p "$port" $CLI_TLS --user "$NODE_USER" "$@"
}
is_primary() { [ "$(ask "$LOCAL" "$PORT" role | head -n 1)" = master ]; }

if [ -n "$NODES" ]; then
    is_primary || exit 0
    for other in $NODES; do
        [ "$other" != "$ME" ] || continue # this node's Sentinel stops as well
        ask "$other" "$SENTINEL_PORT" sentinel failover "$PRIMARY_NAME" || continue
        waited=0
        while [ "$waited" -lt "$FAILOVER_SECONDS" ]; do
            is_primary || exit 0
            sleep 1
            waited=$((waited + 1))
        done
    done
    echo "stop: no replica took over" >&2
fi
ask "$LOCAL" "$PORT" save
