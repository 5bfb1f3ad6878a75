#!/bin/sh
# Start a Sentinel. Keep its saved state (primary, known nodes, epochs); rewrite the rest of its configuration.
#
# Environment: as in start.sh, plus QUORUM, NODE_USER, and TLS_DIRECTORY (empty without TLS).
set -eu
umask 077
state="$DATA/sentinel.conf"
primary=
learned=
if [ -f "$state" ]; then
    primary=$(sed -n "s/^sentinel monitor $PRIMARY_NAME \([^ ]*\) .*/\1/p" "$state")
    learned=$(grep -E '^sentinel (myid|current-epoch|(config-epoch|leader-epoch|known-[a-z]+) )' "$state" || :)
fi
password=$(cat "$PASSWORD_FILE")
hash=$(printf %s "$password" | sha256sum | cut -c 1-64)
{
    cat "$CONF/sentinel.conf"
    echo "user $NODE_USER reset on #$hash allcommands allkeys allchannels"
    echo "sentinel announce-ip $ME"
    echo "sentinel sentinel-user $NODE_USER"
    echo "sentinel sentinel-pass $password"
    echo "sentinel monitor $PRIMARY_NAME ${primary:-${NODES%% *}} $PORT $QUORUM"
    echo "sentinel auth-user $PRIMARY_NAME $NODE_USER"
    echo "sentinel auth-pass $PRIMARY_NAME $password"
    echo "sentinel down-after-milliseconds $PRIMARY_NAME ${DOWN_AFTER_MS:-5000}"
    echo "sentinel failover-timeout $PRIMARY_NAME ${FAILOVER_TIMEOUT_MS:-60000}"
    echo "sentinel parallel-syncs $PRIMARY_NAME 1"
    echo "$learned"
} >"$state.new"
mv "$state.new" "$state"
[ -n "$TLS_DIRECTORY" ] || exec valkey-server "$state" --sentinel

# Sentinel reads certificates at start-up only: stop it when they change, and Kubernetes restarts it with the new ones.
fingerprint() {
    cat "$TLS_DIRECTORY/tls.crt" "$TLS_DIRECTORY/tls.key" "$TLS_DIRECTORY/ca.crt" | sha256sum
}
before=$(fingerprint)
valkey-server "$state" --sentinel &
sentinel=$!
trap 'kill "$sentinel" 2>/dev/null || :' TERM INT
while kill -0 "$sentinel" 2>/dev/null; do
    sleep "${PERIOD:-30}" &
    pause=$!
    wait "$pause" || :
    [ "$(fingerprint)" = "$before" ] || kill "$sentinel" 2>/dev/null || :
done
kill "$pause" 2>/dev/null || :
wait "$sentinel"
