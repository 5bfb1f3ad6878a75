#!/bin/sh
# Receive WAL into $SPOOL, until stopped or up to $END_LSN. The slot makes the server keep WAL that was not received yet.
set -eu
umask 077
if [ -n "${CA_FILE:-}" ] && [ -f "$CA_FILE" ]; then export PGSSLROOTCERT="$CA_FILE"; fi
pg_receivewal --no-password --slot="$SLOT" --create-slot --if-not-exists
if [ -n "${END_LSN:-}" ]; then
    exec pg_receivewal --no-password --slot="$SLOT" --directory="$SPOOL" --no-loop --endpos="$END_LSN"
fi
# Commit an empty transaction regularly, so that the WAL of an idle server also has recent timestamps: point-in-time
# recovery needs a commit after the target time.
(while sleep "${HEARTBEAT_SECONDS:-60}"; do
    psql --no-psqlrc --quiet --no-password --output=/dev/null --command='SELECT pg_catalog.pg_current_xact_id()' || true
done) &
heartbeat=$!
# --no-loop: exit with an error if the connection is lost, so that it is noticed; the caller starts this script again.
pg_receivewal --no-password --slot="$SLOT" --directory="$SPOOL" --no-loop &
receiver=$!
trap 'kill "$receiver" 2>/dev/null' TERM INT
code=0
wait "$receiver" || code=$?
kill "$heartbeat" 2>/dev/null || true
exit "$code"
