-- One snapshot for the facts and for every pg_dump.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
DO $check$
DECLARE hidden TEXT;
BEGIN
  SELECT pg_catalog.string_agg(c.oid::pg_catalog.regclass::pg_catalog.text, ', ' ORDER BY 1) INTO hidden
  FROM pg_catalog.pg_class c
  WHERE c.relkind IN ('r', 'p') AND pg_catalog.row_security_active(c.oid) AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_policy p
    WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd IN ('*', 'r')
      AND pg_catalog.pg_get_expr(p.polqual, p.polrelid) = 'true'
      AND current_user::pg_catalog.regrole = ANY (p.polroles));
  IF hidden IS NOT NULL THEN
    RAISE EXCEPTION 'row-level security hides rows of % from %; run pulumi up, which creates a policy for this role', hidden, current_user;
  END IF;
END
$check$;
SELECT pg_catalog.pg_export_snapshot() AS snapshot \gset
\setenv SNAPSHOT :snapshot
\cd :scripts
\i facts.sql
\! sh "$SCRIPTS/dump_schemas.sh"
COMMIT;
