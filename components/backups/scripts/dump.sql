-- One snapshot for the facts and for every pg_dump.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
SELECT pg_catalog.pg_export_snapshot() AS snapshot \gset
\setenv SNAPSHOT :snapshot
\cd :scripts
\i facts.sql
\! sh "$SCRIPTS/dump_schemas.sh"
COMMIT;
