#!/bin/sh
# A copy of the whole server, with the WAL that makes it consistent, as tar files in $WORK.
set -eu
umask 077
cd "$WORK"
rm -rf -- *.tsv *.tar.gz *.sql backup_manifest time base
if [ -n "${CA_FILE:-}" ] && [ -f "$CA_FILE" ]; then export PGSSLROOTCERT="$CA_FILE"; fi
# Counts are of the moment before: no two sessions can share a snapshot with a copy of files.
psql --no-psqlrc --quiet --no-password --set=ON_ERROR_STOP=1 --set=scripts="$SCRIPTS" --file="$SCRIPTS/base.sql"
pg_basebackup --no-password --pgdata=base --format=tar --gzip --wal-method=stream --checkpoint=fast --no-sync --label=stellaops --verbose
mv base/* .
rmdir base
