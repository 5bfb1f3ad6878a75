BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL statement_timeout = 0;
\cd :scripts
\i facts.sql
COMMIT;
