#!/bin/sh
# Take a base backup of the whole server, with the WAL that makes it consistent, as tar files in $WORK.
set -eu
umask 077
cd "$WORK"
rm -rf -- *.tsv *.tar.gz *.sql backup_manifest time base
if [ -n "${CA_FILE:-}" ] && [ -f "$CA_FILE" ]; then export PGSSLROOTCERT="$CA_FILE"; fi
# Count rows just before the backup: a base backup cannot share a session's snapshot.
psql --no-psqlrc --quiet --no-password --set=ON_ERROR_STOP=1 --set=scripts="$SCRIPTS" --file="$SCRIPTS/base.sql"
pg_basebackup --no-password --pgdata=base --format=tar --gzip --wal-method=stream --checkpoint=fast --no-sync --label=stellaops --verbose
mv base/* .
rmdir base
