#!/bin/sh
# Dump each schema in $SCHEMAS to $WORK, all from one snapshot, and write the facts that a restore is compared with.
# libpq's environment variables set the server and the login.
set -eu
umask 077
cd "$WORK"
rm -f -- *.tsv *.dump *.sql time dumped
if [ -n "${CA_FILE:-}" ] && [ -f "$CA_FILE" ]; then export PGSSLROOTCERT="$CA_FILE"; fi
psql --no-psqlrc --quiet --no-password --set=ON_ERROR_STOP=1 --set=scripts="$SCRIPTS" --file="$SCRIPTS/dump.sql"
# psql continues after a failed \!, so count the schemas that were dumped: each wrote one line.
[ "$(wc -l < dumped)" -eq "$(echo "$SCHEMAS" | wc -w)" ] || { echo "error: some schemas were not dumped; the messages above name the cause" >&2; exit 1; }
rm -f dumped
