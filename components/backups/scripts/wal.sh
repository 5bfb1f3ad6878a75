#!/bin/sh
# Receive WAL into $SPOOL without an end, or up to $END_LSN. The slot keeps on the server what was not received yet.
set -eu
umask 077
if [ -n "${CA_FILE:-}" ] && [ -f "$CA_FILE" ]; then export PGSSLROOTCERT="$CA_FILE"; fi
pg_receivewal --no-password --slot="$SLOT" --create-slot --if-not-exists
# A lost connection ends it with an error, so that it is seen; whoever runs it starts it again.
exec pg_receivewal --no-password --slot="$SLOT" --directory="$SPOOL" --no-loop ${END_LSN:+--endpos="$END_LSN"}
