#!/bin/sh
# Receive WAL into $SPOOL without an end, or up to $END_LSN. The slot keeps on the server what was not received yet.
set -eu
umask 077
if [ -n "${CA_FILE:-}" ] && [ -f "$CA_FILE" ]; then export PGSSLROOTCERT="$CA_FILE"; fi
pg_receivewal --no-password --slot="$SLOT" --create-slot --if-not-exists
if [ -n "${END_LSN:-}" ]; then
    exec pg_receivewal --no-password --slot="$SLOT" --directory="$SPOOL" --no-loop --endpos="$END_LSN"
fi
# An empty commit now and then: an idle server's WAL then still tells how far it reaches, and recovery to any moment
# finds an end to stop at.
(while sleep "${HEARTBEAT_SECONDS:-60}"; do
    psql --no-psqlrc --quiet --no-password --output=/dev/null --command='SELECT pg_catalog.pg_current_xact_id()' || true
done) &
heartbeat=$!
# A lost connection ends it with an error, so that it is seen; whoever runs it starts it again.
pg_receivewal --no-password --slot="$SLOT" --directory="$SPOOL" --no-loop &
receiver=$!
trap 'kill "$receiver" 2>/dev/null' TERM INT
code=0
wait "$receiver" || code=$?
kill "$heartbeat" 2>/dev/null || true
exit "$code"
