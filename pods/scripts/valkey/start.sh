#!/bin/sh
# Start a server of a replicated deployment in its current role: as primary, or as replica of the primary.
#
# Environment: ME: this node's name. NODES: all names, separated by spaces; the first is the primary of a new deployment.
# PORT, SENTINEL_PORT, PRIMARY_NAME. DATA, CONF: directories. PASSWORD_FILE. CLI_TLS: TLS options of valkey-cli.
set -eu
umask 077
node="$DATA/node.conf"

# Ask the Sentinels of the other nodes. This node's Sentinel starts at the same time and may have missed a failover.
primary=
for other in $NODES; do
    [ "$other" != "$ME" ] || continue
    # shellcheck disable=SC2086 # options, separated by spaces
    answer=$(timeout 3 valkey-cli -h "$other" -p "$SENTINEL_PORT" $CLI_TLS \
        sentinel get-master-addr-by-name "$PRIMARY_NAME" 2>/dev/null | head -n 1) || answer=
    case " $NODES " in
    *" ${answer:-none} "*)
        primary=$answer
        break
        ;;
    esac
done

# No Sentinel answered: keep the last role, which Sentinel saved in this file (CONFIG REWRITE). The rest is rewritten.
if [ -z "$primary" ] && [ -f "$node" ]; then
    primary=$(sed -n 's/^replicaof \([^ ]*\) .*/\1/p' "$node" | tail -n 1)
    primary=${primary:-$ME}
fi
primary=${primary:-${NODES%% *}}
echo "start: $ME, primary is $primary"

{
    echo "include $CONF/valkey.conf"
    echo "primaryauth $(cat "$PASSWORD_FILE")"
    echo "replica-announce-ip $ME"
    [ "$primary" = "$ME" ] || echo "replicaof $primary $PORT"
} >"$node.new"
mv "$node.new" "$node"
exec valkey-server "$node"
