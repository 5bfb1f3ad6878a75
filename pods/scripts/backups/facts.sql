-- Write the facts that a restore is compared with to files in $WORK. Needs no superuser; \cd to the scripts first.
-- Roles appear by name, not by OID; the database as "database", because a restored one has another name.
\getenv schemas SCHEMAS
\getenv work WORK
\cd :work
\pset format unaligned
\pset tuples_only on
\pset fieldsep '\t'
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SET IntervalStyle = 'postgres';
SET bytea_output = 'hex';
SET extra_float_digits = 1;
SET search_path = '';

\o time
SELECT pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"');

\o server.tsv
SELECT 'version', pg_catalog.current_setting('server_version')
UNION ALL SELECT 'database', pg_catalog.current_database()
UNION ALL SELECT 'segment_bytes', setting FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size' AND unit = 'B'
UNION ALL SELECT 'locale', pg_catalog.json_build_object('encoding', pg_catalog.pg_encoding_to_char(encoding),
    'provider', datlocprovider, 'collate', datcollate, 'ctype', datctype,
    -- PostgreSQL 17 renamed the column.
    'locale', coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale'))::pg_catalog.text
  FROM pg_catalog.pg_database d WHERE datname = pg_catalog.current_database();

-- A checksum that does not depend on the order of rows: 64 bits of each row's MD5 detect every accidental change.
\o tables.tsv
SELECT pg_catalog.format(
    $$SELECT %L, %L, pg_catalog.count(*), coalesce(pg_catalog.sum(('x' || pg_catalog.left(pg_catalog.md5(t::pg_catalog.text), 16))::pg_catalog.bit(64)::pg_catalog.int8::pg_catalog.numeric), 0) FROM ONLY %I.%I t$$,
    n.nspname, c.relname, n.nspname, c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname = ANY (pg_catalog.string_to_array(:'schemas', ' '))
ORDER BY n.nspname, c.relname
\gexec

\o versions.tsv
SELECT pg_catalog.format($$SELECT %L, coalesce(pg_catalog.max(version), 0) FROM %I.schema_migrations$$, n.nspname, n.nspname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = 'schema_migrations' AND n.nspname = ANY (pg_catalog.string_to_array(:'schemas', ' '))
ORDER BY n.nspname
\gexec

-- Casts and parentheses are removed: PostgreSQL prints them differently after a CHECK ... IN was dumped and restored.
\set casts '''::[a-z ]+(\\[\\])?|[()]'''
\o catalog.tsv
WITH namespaces AS (
  SELECT * FROM pg_catalog.pg_namespace WHERE nspname = ANY (pg_catalog.string_to_array(:'schemas', ' '))
), relations AS (
  SELECT c.*, n.nspname FROM pg_catalog.pg_class c JOIN namespaces n ON n.oid = c.relnamespace
), lines AS (
  SELECT pg_catalog.concat_ws(' ', 'schema', nspname, 'owner', pg_catalog.pg_get_userbyid(nspowner)) AS line FROM namespaces
  UNION ALL SELECT pg_catalog.concat_ws(' ', 'relation', nspname || '.' || relname, relkind, 'owner', pg_catalog.pg_get_userbyid(relowner),
      'row security', relrowsecurity, relforcerowsecurity) FROM relations WHERE relkind <> 'i'
  UNION ALL SELECT pg_catalog.concat_ws(' ', 'column', r.nspname || '.' || r.relname, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
      CASE WHEN a.attnotnull THEN 'not null' END, pg_catalog.pg_get_expr(d.adbin, d.adrelid))
    FROM relations r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE r.relkind IN ('r', 'p', 'v', 'm')
  UNION ALL SELECT pg_catalog.concat_ws(' ', 'constraint', r.nspname || '.' || r.relname, k.conname, pg_catalog.regexp_replace(pg_catalog.pg_get_constraintdef(k.oid), :casts, '', 'g'))
    FROM relations r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid
  UNION ALL SELECT pg_catalog.concat_ws(' ', 'index', pg_catalog.regexp_replace(pg_catalog.pg_get_indexdef(oid), :casts, '', 'g')) FROM relations WHERE relkind = 'i'
  UNION ALL SELECT pg_catalog.concat_ws(' ', 'trigger', pg_catalog.pg_get_triggerdef(t.oid), 'enabled', t.tgenabled)
    FROM relations r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
  UNION ALL SELECT pg_catalog.concat_ws(' ', 'policy', r.nspname || '.' || r.relname, p.polname, p.polcmd, p.polpermissive,
      pg_catalog.regexp_replace(pg_catalog.concat_ws(' ', pg_catalog.pg_get_expr(p.polqual, p.polrelid),
        pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)), :casts, '', 'g'))
    FROM relations r JOIN pg_catalog.pg_policy p ON p.polrelid = r.oid
  UNION ALL SELECT pg_catalog.concat_ws(' ', 'function', n.nspname || '.' || p.proname, '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',
      'owner', pg_catalog.pg_get_userbyid(p.proowner), 'definer', p.prosecdef, pg_catalog.md5(p.prosrc))
    FROM pg_catalog.pg_proc p JOIN namespaces n ON n.oid = p.pronamespace
  UNION ALL SELECT pg_catalog.concat_ws(' ', 'grant', what, 'to', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(grantee) END,
      privilege_type, CASE WHEN is_grantable THEN 'with grant option' END)
    FROM (
      SELECT 'database' AS what, coalesce(datacl, pg_catalog.acldefault('d', datdba)) AS acl FROM pg_catalog.pg_database
        WHERE datname = pg_catalog.current_database()
      UNION ALL SELECT 'schema ' || nspname, coalesce(nspacl, pg_catalog.acldefault('n', nspowner)) FROM namespaces
      UNION ALL SELECT 'schema public', coalesce(nspacl, pg_catalog.acldefault('n', nspowner)) FROM pg_catalog.pg_namespace WHERE nspname = 'public'
      UNION ALL SELECT nspname || '.' || relname, coalesce(relacl, pg_catalog.acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::pg_catalog."char", relowner))
        FROM relations WHERE relkind <> 'i'
      UNION ALL SELECT r.nspname || '.' || r.relname || '.' || a.attname, a.attacl
        FROM relations r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid WHERE a.attacl IS NOT NULL AND NOT a.attisdropped
      UNION ALL SELECT 'function ' || n.nspname || '.' || p.proname, coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))
        FROM pg_catalog.pg_proc p JOIN namespaces n ON n.oid = p.pronamespace
      UNION ALL SELECT 'default of ' || pg_catalog.pg_get_userbyid(d.defaclrole) || ' for ' || d.defaclobjtype::pg_catalog.text || coalesce(' in ' || n.nspname, ''), d.defaclacl
        FROM pg_catalog.pg_default_acl d LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
    ) granted, pg_catalog.aclexplode(granted.acl)
  UNION ALL SELECT pg_catalog.concat_ws(' ', 'role', rolname, CASE WHEN rolcanlogin THEN 'login' END, CASE WHEN rolsuper THEN 'superuser' END,
      CASE WHEN rolcreaterole THEN 'createrole' END, CASE WHEN rolreplication THEN 'replication' END, CASE WHEN rolbypassrls THEN 'bypassrls' END,
      'limit', rolconnlimit, pg_catalog.array_to_string(rolconfig, ' '))
    FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_'
  UNION ALL SELECT pg_catalog.concat_ws(' ', 'member', pg_catalog.pg_get_userbyid(member), 'of', pg_catalog.pg_get_userbyid(roleid))
    FROM pg_catalog.pg_auth_members
)
SELECT pg_catalog.regexp_replace(line, '\s+', ' ', 'g') FROM lines ORDER BY line COLLATE pg_catalog."C";

-- Extensions, for the schemas' types and operators; pg_dump omits them when it dumps single schemas.
\o extensions.sql
SELECT pg_catalog.format('CREATE SCHEMA IF NOT EXISTS %I; CREATE EXTENSION IF NOT EXISTS %I SCHEMA %I CASCADE;', nspname, extname, nspname)
  FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE nspname <> 'pg_catalog'
UNION ALL SELECT pg_catalog.format('GRANT %s ON SCHEMA %I TO %s;', privilege_type, nspname,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(grantee)) END)
  FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(nspacl)
  WHERE grantee <> nspowner AND nspname NOT IN ('public', 'pg_catalog')
    AND EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extnamespace = n.oid);

-- What pg_dump omits when it dumps single schemas. :"database" is the name of the restored database.
\o database.sql
SELECT 'REVOKE ALL ON DATABASE :"database" FROM PUBLIC;'
UNION ALL SELECT 'REVOKE ALL ON SCHEMA public FROM PUBLIC;'
UNION ALL SELECT pg_catalog.format('GRANT %s ON DATABASE :"database" TO %s;', privilege_type,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(grantee)) END)
  FROM pg_catalog.pg_database, pg_catalog.aclexplode(coalesce(datacl, pg_catalog.acldefault('d', datdba)))
  WHERE datname = pg_catalog.current_database() AND grantee <> datdba
UNION ALL SELECT pg_catalog.format('GRANT %s ON SCHEMA public TO %s;', privilege_type,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(grantee)) END)
  FROM pg_catalog.pg_namespace, pg_catalog.aclexplode(coalesce(nspacl, pg_catalog.acldefault('n', nspowner)))
  WHERE nspname = 'public' AND grantee <> nspowner
UNION ALL SELECT pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I REVOKE ALL ON %s FROM PUBLIC;', pg_catalog.pg_get_userbyid(defaclrole),
    CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' ELSE 'SCHEMAS' END)
  FROM pg_catalog.pg_default_acl WHERE defaclnamespace = 0;
\o
