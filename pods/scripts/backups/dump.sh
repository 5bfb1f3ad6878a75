#!/bin/sh
# Dump each schema of $SCHEMAS into $WORK, all of the same moment, with what a later comparison needs.
# libpq's own variables say where and as whom.
set -eu
umask 077
cd "$WORK"
rm -f -- *.tsv *.dump *.sql time dumped
if [ -n "${CA_FILE:-}" ] && [ -f "$CA_FILE" ]; then export PGSSLROOTCERT="$CA_FILE"; fi
psql --no-psqlrc --quiet --no-password --set=ON_ERROR_STOP=1 --set=scripts="$SCRIPTS" --file="$SCRIPTS/dump.sql"
# psql goes on after a failed \!; each schema that was dumped left a line.
[ "$(wc -l < dumped)" -eq "$(echo "$SCHEMAS" | wc -w)" ] || { echo "error: not all schemas were dumped, see above" >&2; exit 1; }
rm -f dumped
