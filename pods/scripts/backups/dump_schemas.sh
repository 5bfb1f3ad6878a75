#!/bin/sh
# Called by dump.sql while its transaction keeps $SNAPSHOT alive.
set -eu
cd "$WORK"
: > dumped
for schema in $SCHEMAS; do
    # --no-sync: what is lost with this machine is made again.
    # --enable-row-security: tenants' rows are seen by a policy; dump.sql has made sure that it is all of them.
    pg_dump --no-password --no-sync --enable-row-security --format=custom --snapshot="$SNAPSHOT" \
        --schema="\"$schema\"" --file="$schema.dump"
    echo "$schema" >> dumped
    echo "dumped $schema, $(wc -c < "$schema.dump") bytes"
done
