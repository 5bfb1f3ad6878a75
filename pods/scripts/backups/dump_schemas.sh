#!/bin/sh
# Dump each schema; dump.sql calls this while its transaction keeps $SNAPSHOT alive.
set -eu
cd "$WORK"
: > dumped
for schema in $SCHEMAS; do
    # --no-sync: if this machine fails, the next run dumps again.
    # --enable-row-security: a policy shows this role the rows of all tenants; dump.sql checks that none is hidden.
    pg_dump --no-password --no-sync --enable-row-security --format=custom --snapshot="$SNAPSHOT" \
        --schema="\"$schema\"" --file="$schema.dump"
    echo "$schema" >> dumped
    echo "dumped $schema, $(wc -c < "$schema.dump") bytes"
done
