#!/bin/sh
# Reload the server's certificates when they are renewed. Open connections stay open.
#
# Environment: LOCAL, PORT, NODE_USER, PASSWORD_FILE, CLI_TLS, TLS_DIRECTORY. PERIOD: seconds between two checks.
set -eu
trap 'exit 0' TERM INT
fingerprint() {
    cat "$TLS_DIRECTORY/tls.crt" "$TLS_DIRECTORY/tls.key" "$TLS_DIRECTORY/ca.crt" | sha256sum
}
# Valkey 8 reads this variable under the name that Redis uses.
REDISCLI_AUTH=$(cat "$PASSWORD_FILE")
export REDISCLI_AUTH
loaded=$(fingerprint)
while :; do
    sleep "${PERIOD:-30}" &
    wait $!
    now=$(fingerprint)
    [ "$now" != "$loaded" ] || continue
    # shellcheck disable=SC2086 # options, separated by spaces
    if valkey-cli -e -h "$LOCAL" -p "$PORT" $CLI_TLS --user "$NODE_USER" config set \
        tls-cert-file "$TLS_DIRECTORY/tls.crt" tls-key-file "$TLS_DIRECTORY/tls.key" \
        tls-ca-cert-file "$TLS_DIRECTORY/ca.crt"; then
        loaded=$now
        echo "tls-reload: the server loaded the renewed certificates"
    fi
done
