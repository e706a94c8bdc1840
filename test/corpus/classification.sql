-- What each statement must be classified as, and what a standby makes of it.
--
-- A line that begins with --@ says for all texts that follow, up to the next such line:
--   --@ setup                        run once on the primary, before anything else
--   --@ <effect>, <reason> [tags]    expected of src/sql with the catalog of the set-up
-- A text is a line, with the indented lines that follow it. Other lines that begin with -- are remarks.
-- Tags, for test/integration/classification.test.ts, which runs every text on a standby:
--   varies   answers differ from run to run on one node: outcomes are not compared
--   node     by design tells where it ran: outcomes are not compared
--   differs  a standby accepts it and silently does or answers something else

--@ setup
CREATE ROLE corpus_role;
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, email text, active boolean DEFAULT true, created_at timestamptz DEFAULT '2026-01-01');
CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users ON DELETE CASCADE, total numeric(10,2), data jsonb, tags text[], placed date);
CREATE TABLE documents (id int, body xml, doc jsonb, search tsvector);
CREATE UNLOGGED TABLE scratch (id int, note text);
CREATE TABLE measurements (day date, value int) PARTITION BY RANGE (day);
CREATE TABLE measurements_2025 PARTITION OF measurements FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE UNLOGGED TABLE measurements_2026 PARTITION OF measurements FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE logged_parts (day date, value int) PARTITION BY RANGE (day);
CREATE TABLE logged_parts_2025 PARTITION OF logged_parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE SEQUENCE ticket;
CREATE SCHEMA app;
CREATE TABLE app.users (id int, name text);
CREATE TABLE app.audited (id int, note text);
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b int);
INSERT INTO users SELECT i, 'user ' || i, 'u' || i || '@example.com' FROM generate_series(1, 20) i;
INSERT INTO orders SELECT i, 1 + i % 20, i * 1.5, jsonb_build_object('n', i), ARRAY['a', 'b'], '2026-01-01'::date + i FROM generate_series(1, 50) i;
INSERT INTO documents VALUES (1, '<a><b>1</b></a>', '{"items":[1,2,3]}', to_tsvector('english', 'a quick brown fox'));
INSERT INTO measurements VALUES ('2025-05-05', 1);
INSERT INTO logged_parts VALUES ('2025-05-05', 1);
INSERT INTO app.audited VALUES (1, 'x');
CREATE FUNCTION add_one(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';
CREATE FUNCTION user_count() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM users';
CREATE FUNCTION touch_user(int) RETURNS int VOLATILE LANGUAGE plpgsql AS 'BEGIN UPDATE users SET active = true WHERE id = $1; RETURN $1; END';
CREATE FUNCTION unmarked(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION app.lookup(int) RETURNS text STABLE LANGUAGE sql AS 'SELECT name FROM users WHERE id = $1';
CREATE FUNCTION app.remember(text) RETURNS text VOLATILE LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION overloaded(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION overloaded(text) RETURNS text VOLATILE LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION app.round(text) RETURNS text VOLATILE LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION app.format(int) RETURNS text STABLE LANGUAGE sql AS 'SELECT $1::text';
CREATE FUNCTION shout(users) RETURNS text VOLATILE LANGUAGE plpgsql AS 'BEGIN UPDATE users SET active = true WHERE id = $1.id; RETURN upper($1.name); END';
CREATE FUNCTION initials(users) RETURNS text STABLE LANGUAGE sql AS 'SELECT left($1.name, 1)';
CREATE FUNCTION logging_eq(pair, pair) RETURNS boolean VOLATILE LANGUAGE plpgsql AS 'BEGIN UPDATE users SET active = true WHERE id = 1; RETURN ($1).a = ($2).a; END';
CREATE OPERATOR === (LEFTARG = pair, RIGHTARG = pair, FUNCTION = logging_eq);
CREATE FUNCTION pair_lt(pair, pair) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT ($1).a < ($2).a';
CREATE OPERATOR <<< (LEFTARG = pair, RIGHTARG = pair, FUNCTION = pair_lt);
CREATE FUNCTION is_new_code(int) RETURNS boolean VOLATILE LANGUAGE plpgsql AS 'BEGIN UPDATE users SET active = true WHERE id = 1; RETURN true; END';
CREATE DOMAIN fresh_code AS int CHECK (is_new_code(VALUE));
CREATE DOMAIN fresher_code AS fresh_code;
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE FUNCTION counting_step(bigint, int) RETURNS bigint VOLATILE LANGUAGE plpgsql AS 'BEGIN UPDATE users SET active = true WHERE id = 1; RETURN $1 + 1; END';
CREATE AGGREGATE counting(int) (SFUNC = counting_step, STYPE = bigint, INITCOND = '0');
CREATE AGGREGATE total_of(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE PROCEDURE do_nothing() LANGUAGE plpgsql AS 'BEGIN NULL; END';
CREATE PROCEDURE touch_all() LANGUAGE sql AS 'UPDATE users SET active = true';
CREATE VIEW active_users AS SELECT * FROM users WHERE active;
CREATE VIEW touching_view AS SELECT touch_user(id) FROM users;
CREATE VIEW view_over_touching AS SELECT * FROM touching_view;
CREATE VIEW locking_view AS SELECT pg_try_advisory_lock(42) AS locked;
CREATE VIEW activity AS SELECT pid, state FROM pg_stat_activity;
CREATE VIEW lottery AS SELECT id, random() AS ticket FROM users;
CREATE VIEW queue_head AS SELECT id FROM orders ORDER BY id FOR UPDATE SKIP LOCKED;
CREATE VIEW scratch_view AS SELECT * FROM scratch;
CREATE VIEW recovering AS SELECT pg_is_in_recovery() AS yes;
CREATE VIEW operator_view AS SELECT ROW(1, 2)::pair === ROW(1, 2)::pair AS same;
CREATE VIEW next_ticket AS SELECT nextval('ticket') AS number;
CREATE VIEW app.totals AS SELECT user_id, sum(total) AS total FROM orders GROUP BY user_id;
CREATE MATERIALIZED VIEW user_stats AS SELECT active, count(*) AS n FROM users GROUP BY active;
CREATE MATERIALIZED VIEW touched AS SELECT add_one(id) AS id FROM users;
CREATE TABLE tenants (id int, owner text);
CREATE TABLE secrets (id int, owner text);
CREATE FUNCTION may_see(text) RETURNS boolean VOLATILE LANGUAGE sql AS 'SELECT true';
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON tenants USING (owner = current_user);
CREATE POLICY seen ON secrets USING (may_see(owner));
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM set_config(''app.last'', ''x'', false); RETURN NEW; END';
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON app.audited FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE RULE forward AS ON INSERT TO app.users DO INSTEAD SELECT app.remember(NEW.name);
CREATE TABLE coded (id int DEFAULT unmarked(1));
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int REFERENCES parent ON DELETE CASCADE);
CREATE TRIGGER stamp AFTER DELETE ON child FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TABLE posts (id int, title text, search tsvector, updated_at timestamptz);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.updated_at = now(); NEW.search := to_tsvector(NEW.title); RETURN NEW; END';
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE conditional (id int);
CREATE TRIGGER touch BEFORE INSERT ON conditional FOR EACH ROW WHEN (is_new_code(NEW.id)) EXECUTE FUNCTION touch();
CREATE EXTENSION "uuid-ossp";
CREATE EXTENSION pgcrypto;
CREATE EXTENSION moddatetime;
CREATE EXTENSION tsm_system_rows;
CREATE TABLE things (id uuid DEFAULT uuid_generate_v4(), changed timestamptz);
CREATE TRIGGER changed BEFORE UPDATE ON things FOR EACH ROW EXECUTE FUNCTION moddatetime(changed);
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE os_release (line text) SERVER files OPTIONS (filename '/etc/os-release', format 'text');
CREATE EXTENSION postgres_fdw;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1');
CREATE FOREIGN TABLE remote_users (id int) SERVER elsewhere;
CREATE TABLE "Mixed Case" (id int, "select" int);
INSERT INTO "Mixed Case" VALUES (1, 2);
SELECT lo_from_bytea(4711, 'large');

--@ read, plain read
SELECT 1
SELECT 1;
select 'a literal', 1.5, -3, TRUE, NULL
SELECT name FROM users WHERE id = 7
SELECT * FROM public.users ORDER BY id
SELECT users.* FROM users ORDER BY users.id DESC NULLS LAST LIMIT 3 OFFSET 1
SELECT u.id, (SELECT count(*) FROM orders o WHERE o.user_id = u.id) FROM users u ORDER BY 1
SELECT DISTINCT active FROM users
SELECT DISTINCT ON (user_id) user_id, total FROM orders ORDER BY user_id, total
SELECT ALL id FROM users ORDER BY id FETCH FIRST 3 ROWS ONLY
SELECT id FROM orders ORDER BY total FETCH FIRST 3 ROWS WITH TIES
SELECT count(*) FROM users u JOIN orders o ON o.user_id = u.id
SELECT count(*) FROM users u LEFT JOIN orders o USING (id)
SELECT count(*) FROM users NATURAL JOIN orders
SELECT count(*) FROM users CROSS JOIN orders
SELECT count(*) FROM users u FULL JOIN orders o ON u.id = o.id
SELECT u.id, x.total FROM users u, LATERAL (SELECT total FROM orders o WHERE o.user_id = u.id ORDER BY id LIMIT 1) x ORDER BY 1
SELECT id FROM users WHERE id IN (1, 2, 3) ORDER BY id
SELECT id FROM users WHERE id IN (SELECT user_id FROM orders) ORDER BY id
SELECT id FROM users WHERE id = ANY (ARRAY[1, 2, 3]) ORDER BY id
SELECT id FROM users WHERE id = ANY ('{1,2}'::int[]) ORDER BY id
SELECT id FROM users WHERE id > ALL (SELECT 19)
SELECT id FROM users WHERE EXISTS (SELECT FROM orders WHERE user_id = users.id) ORDER BY id
SELECT id FROM users WHERE (id, name) = (1, 'user 1')
SELECT id FROM users WHERE (id, name) IN (VALUES (1, 'user 1'), (2, 'user 2')) ORDER BY id
SELECT id FROM users WHERE id BETWEEN 1 AND 3 ORDER BY id
SELECT id FROM users WHERE id NOT BETWEEN SYMMETRIC 18 AND 2 ORDER BY id
SELECT id FROM users WHERE name LIKE 'user 1%' ESCAPE '!' ORDER BY id
SELECT id FROM users WHERE name ILIKE 'USER 2' OR name SIMILAR TO 'user (3|4)' ORDER BY id
SELECT id FROM users WHERE name ~ '^user [12]$' AND NOT name !~* 'x' ORDER BY id
SELECT id FROM users WHERE email IS NULL OR email IS NOT NULL AND active IS TRUE OR active IS NOT UNKNOWN ORDER BY id
SELECT id FROM users WHERE name IS DISTINCT FROM email AND id IS NOT DISTINCT FROM 3
SELECT CASE WHEN id > 10 THEN 'high' ELSE 'low' END FROM users ORDER BY id
SELECT CASE id WHEN 1 THEN 'one' WHEN 2 THEN 'two' END FROM users ORDER BY id
SELECT COALESCE(email, name), NULLIF(id, 3), GREATEST(id, 5), LEAST(id, 5) FROM users ORDER BY id
SELECT id::text, CAST(id AS numeric(10, 2)), int '5', '5'::int, date '2026-01-01', interval '1 day 2 hours', interval(3) '1.5 s' FROM users ORDER BY id
SELECT ARRAY[1, 2, 3], ARRAY[[1, 2], [3, 4]], ARRAY(SELECT id FROM users ORDER BY id), ('{1,2,3}'::int[])[2], ('{1,2,3}'::int[])[1:2]
SELECT ROW(1, 'a'), (1, 2), ROW()
SELECT (ROW(1, 2)::pair).a, (ROW(1, 2)::pair).*
SELECT tags[1], data -> 'n', data ->> 'n', data #>> '{n}', data @> '{"n": 1}', data ? 'n' FROM orders ORDER BY id
SELECT data['n'] FROM orders ORDER BY id
SELECT count(*), sum(total), avg(total), min(id), max(id), string_agg(id::text, ',' ORDER BY id), array_agg(id ORDER BY id) FROM orders
SELECT count(*) FILTER (WHERE total > 10), count(DISTINCT user_id), percentile_cont(0.5) WITHIN GROUP (ORDER BY total) FROM orders
SELECT user_id, sum(total) FROM orders GROUP BY user_id HAVING sum(total) > 10 ORDER BY user_id
SELECT user_id, placed, sum(total), grouping(user_id) FROM orders GROUP BY GROUPING SETS ((user_id), (placed), ()) ORDER BY 1, 2
SELECT user_id, placed, count(*) FROM orders GROUP BY ROLLUP (user_id, placed) ORDER BY 1, 2
SELECT user_id, placed, count(*) FROM orders GROUP BY DISTINCT CUBE (user_id, placed) ORDER BY 1, 2
SELECT id, row_number() OVER (ORDER BY id), rank() OVER w, lag(total, 1) OVER w FROM orders WINDOW w AS (PARTITION BY user_id ORDER BY total) ORDER BY id
SELECT sum(total) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM orders ORDER BY id
SELECT id FROM users UNION SELECT id FROM orders ORDER BY id
SELECT id FROM users UNION ALL (SELECT id FROM orders EXCEPT SELECT 5) ORDER BY id
SELECT id FROM users INTERSECT SELECT id FROM orders ORDER BY id LIMIT 4
(SELECT 1) UNION (SELECT 2) ORDER BY 1
VALUES (1, 'a'), (2, 'b')
VALUES (1, DEFAULT)
TABLE users ORDER BY id
TABLE ONLY users
SELECT * FROM ONLY users ORDER BY id
SELECT FROM users
SELECT
WITH recent AS (SELECT * FROM orders WHERE id > 40) SELECT count(*) FROM recent
WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS y FROM a) SELECT * FROM a, b
WITH a AS MATERIALIZED (SELECT 1), b AS NOT MATERIALIZED (SELECT 2) SELECT * FROM a, b
WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) SEARCH DEPTH FIRST BY n SET o CYCLE n SET c USING p SELECT n FROM t ORDER BY o
WITH scratch AS (SELECT 1 AS id) SELECT * FROM scratch
WITH touching_view AS (SELECT 1) SELECT * FROM (SELECT * FROM touching_view) x
SELECT * FROM generate_series(1, 3) AS g(n)
SELECT * FROM ROWS FROM (generate_series(1, 3), unnest(ARRAY['a', 'b'])) WITH ORDINALITY AS t(a, b, n)
SELECT generate_series(1, 3), unnest(ARRAY[1, 2])
SELECT * FROM json_to_record('{"a":1,"b":"x"}') AS x(a int, b text)
SELECT * FROM unnest(ARRAY[1, 2], ARRAY['a', 'b']) AS t(n, s)
SELECT * FROM users TABLESAMPLE bernoulli (100) REPEATABLE (1) ORDER BY id
SELECT * FROM active_users ORDER BY id
SELECT * FROM app.totals ORDER BY user_id
SELECT * FROM user_stats
SELECT * FROM touched ORDER BY id
SELECT * FROM tenants
SELECT * FROM logged_parts
SELECT * FROM measurements_2025
SELECT "select" FROM "Mixed Case"
SELECT * FROM app.users
SELECT * FROM postgres.public.users ORDER BY id
SELECT add_one(1), public.add_one(id) FROM users ORDER BY id
SELECT user_count()
SELECT app.lookup(3)
SELECT app.format(3), format('%s', 1)
SELECT u.initials FROM users u ORDER BY id
SELECT (u).initials, u.name FROM users u ORDER BY id
SELECT ROW(1, 2)::pair <<< ROW(2, 2)::pair
SELECT ROW(1, 2)::pair OPERATOR(public.<<<) ROW(2, 2)::pair
SELECT 1 OPERATOR(pg_catalog.+) 2
SELECT total_of(id) FROM users
SELECT 5::positive
SELECT 'happy'::mood, mood 'sad', 'ok'::public.mood
SELECT upper('x'), lower('X'), length('abc'), substring('abc' FROM 2 FOR 1), position('b' IN 'abc'), trim(both 'x' FROM 'xax'), overlay('abc' PLACING 'x' FROM 2)
SELECT extract(year FROM placed), date_trunc('month', placed), placed + 1, placed AT TIME ZONE 'UTC' FROM orders ORDER BY id
SELECT (date '2026-01-01', date '2026-02-01') OVERLAPS (date '2026-01-15', date '2026-03-01')
SELECT pg_catalog.upper('x'), pg_catalog.format('%s-%s', 1, 2), concat('a', 1), md5('x'), encode('abc', 'base64')
SELECT to_char(timestamp '2026-01-01 12:00', 'YYYY-MM-DD'), to_date('2026', 'YYYY'), to_number('12', '99')
SELECT 'abc' COLLATE "C" < 'abd', collation for ('x' COLLATE "C")
SELECT jsonb_path_query(doc, '$.items[*]'), jsonb_array_elements(doc -> 'items'), jsonb_set(doc, '{a}', '1') FROM documents
SELECT JSON_OBJECT('a' : 1, 'b' : 2 ABSENT ON NULL WITH UNIQUE KEYS), JSON_ARRAY(1, 2 NULL ON NULL), JSON_ARRAY(SELECT id FROM users ORDER BY id)
SELECT JSON_OBJECTAGG(id : name), JSON_ARRAYAGG(id ORDER BY id) FROM users
SELECT JSON_VALUE(doc, '$.items[0]' RETURNING int DEFAULT 1 ON EMPTY), JSON_QUERY(doc, '$.items' WITH WRAPPER), JSON_EXISTS(doc, '$.x' PASSING 1 AS y) FROM documents
SELECT JSON('{"a":1}'), JSON_SCALAR(1), JSON_SERIALIZE('{"a":1}' RETURNING text)
SELECT '{"a":1}' IS JSON OBJECT WITH UNIQUE KEYS, '[]' IS NOT JSON SCALAR
SELECT jt.* FROM documents, JSON_TABLE(doc, '$.items[*]' COLUMNS (n FOR ORDINALITY, v int PATH '$', NESTED PATH '$.x' COLUMNS (y int EXISTS PATH '$.y'))) AS jt
SELECT x.* FROM documents, XMLTABLE('/a/b' PASSING body COLUMNS v int PATH '.' DEFAULT 0, n FOR ORDINALITY) AS x
SELECT xmlelement(name a, xmlattributes(id AS i), 'x'), xmlforest(id, name), xmlconcat('<a/>', '<b/>'), xmlpi(name php) FROM users ORDER BY id
SELECT xmlserialize(content body AS text), xmlexists('/a' PASSING body), xpath('/a/b/text()', body)::text FROM documents
SELECT xmlroot('<a/>', version '1.0', standalone yes), xmlparse(document '<a/>') IS DOCUMENT
SELECT search @@ to_tsquery('english', 'fox'), ts_rank(search, plainto_tsquery('fox')) FROM documents
SELECT * FROM ts_debug('english', 'a fox')
SELECT $$dollar$$, $tag$with $$ inside$tag$, E'escaped \' quote', U&'d\0061t\+000061', U&'d!0061' UESCAPE '!', B'101', X'1F', N'national'
SELECT 'split'
    ' literal', 1e5, 1.5e-3, .5, 5., 0x1F, 0o17, 0b11, 1_000
SELECT 1 -- a comment; DELETE FROM users
SELECT /* nested /* DELETE FROM users; */ comment */ 1
SELECT ';', '--', '/*', 1
SELECT id FROM users WHERE name = 'O''Brien; DROP TABLE users'
SELECT "id" FROM "public"."users" AS "weird ; -- name" ORDER BY 1
SELECT id AS nextval, name AS "for update" FROM users ORDER BY id
SELECT 'nextval(''ticket'')', 'FOR UPDATE'
SELECT 1 + 2 * 3 - 4 / 5 % 6 ^ 2, |/ 4, @ -5, 5 & 3, 5 | 3, 5 # 3, ~5, 5 << 1
SELECT - - 1, +1, 1 - -1, 5 !~~ '4'::text::int
SELECT 1;;;
;SELECT 1
SELECT 1; SELECT 2; SELECT name FROM users WHERE id = 1
SELECT version() IS NOT NULL
SELECT current_database(), current_schema(), current_schemas(true), current_user, session_user, user, current_role, current_catalog
SELECT current_setting('search_path'), current_setting('server_version_num'), current_setting('timezone', true), pg_catalog.current_setting('work_mem')
SELECT current_setting('app.tenant', true), current_setting('transaction_isolation')
SELECT to_regclass('users'), 'users'::regclass, 'add_one'::regproc, 1::regtype, 'public'::regnamespace
SELECT has_table_privilege('users', 'SELECT'), pg_has_role('corpus_role', 'MEMBER'), pg_get_userbyid(10)
SELECT pg_get_viewdef('active_users'), pg_get_functiondef('add_one'::regproc), pg_get_indexdef('users_pkey'::regclass), obj_description('users'::regclass)
SELECT pg_typeof(1), pg_column_size('x'), pg_client_encoding(), pg_encoding_to_char(6), format_type(23, NULL), pg_table_is_visible('users'::regclass)
SELECT pg_get_serial_sequence('users', 'id'), pg_relation_filenode('users'), pg_sequence_parameters('ticket'::regclass)
SELECT row_to_json(u), to_jsonb(u), hashtext(u.name) FROM users u ORDER BY id
SELECT oid, relname FROM pg_class WHERE relname = 'users'
SELECT c.relname, a.attname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid WHERE c.relname = 'users' ORDER BY a.attnum
SELECT n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','p','') AND n.nspname !~ '^pg_toast' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1, 2
SELECT * FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename
SELECT * FROM pg_indexes WHERE tablename = 'users'
SELECT rolname FROM pg_roles ORDER BY 1
SELECT datname FROM pg_database ORDER BY 1
SELECT typname, typtype FROM pg_type WHERE typname = 'mood'
SELECT * FROM pg_stats WHERE tablename = 'nothing'
SELECT viewname FROM pg_views WHERE schemaname = 'public' ORDER BY 1
SELECT extname FROM pg_extension ORDER BY 1
SELECT * FROM pg_timezone_names WHERE name = 'UTC'
SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1
SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'users' ORDER BY ordinal_position
SELECT lo_get(4711) IS NULL, 1 FROM users WHERE false
SELECT id FROM users LIMIT ALL
SELECT id FROM users ORDER BY id USING >
SELECT make_interval(days => 3), make_date(year := 2026, month := 1, day := 1)
SELECT concat_ws(',', VARIADIC ARRAY['a', 'b'])
SELECT pg_catalog.pg_is_other_temp_schema IS NULL FROM (SELECT 1 AS pg_is_other_temp_schema) AS pg_catalog

--@ read, plain read [varies]
SELECT now(), current_timestamp, current_date, current_time, localtime, localtimestamp(3), transaction_timestamp(), statement_timestamp()
SELECT clock_timestamp(), timeofday(), random(), gen_random_uuid()
SELECT random(1, 10), random_normal()
SELECT pg_sleep(0), pg_sleep_for('1 microsecond')
SELECT id FROM users WHERE created_at < now() - interval '1 day' AND random() < 2 ORDER BY id
SELECT * FROM users TABLESAMPLE system (50)
SELECT * FROM lottery
SELECT id FROM users ORDER BY random()
SELECT age(timestamp '2020-01-01')
SELECT uuid_generate_v4(), gen_random_bytes(4), gen_salt('bf')
SELECT id FROM users TABLESAMPLE system_rows (3)
SELECT uuidv4(), uuidv7(), array_shuffle(ARRAY[1, 2, 3])
SELECT txid FROM (SELECT now() AS txid) x

--@ read, plain read [node]
SELECT inet_server_addr(), inet_server_port(), current_setting('port')
SELECT current_setting('cluster_name'), current_setting('PORT')

--@ read, plain read
-- Hints and other comments change the hint, not the classification.
/* pgweir: route=primary */ SELECT 1
SELECT 1 /* pgweir: route=replica, max_staleness=5s */
/*+ SeqScan(users) */ SELECT id FROM users ORDER BY id
/* controller='users', traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01' */ SELECT id FROM users ORDER BY id

--@ read, empty query

;
;;
/* only a comment */

--@ read, SHOW
SHOW search_path
SHOW TIME ZONE
SHOW TRANSACTION ISOLATION LEVEL
SHOW SESSION AUTHORIZATION
SHOW server_version
SHOW default_transaction_read_only
SHOW app.tenant

--@ read, SHOW [node]
SHOW port
SHOW cluster_name

--@ write, differs on a standby [differs]
SHOW transaction_read_only
SHOW in_hot_standby
SHOW ALL
SHOW primary_conninfo
SELECT current_setting('transaction_read_only')
SELECT current_setting('in_hot_standby'), 1
SELECT pg_catalog.current_setting('In_Hot_Standby')
SELECT current_setting(name) FROM pg_catalog.pg_class, (VALUES ('in_hot_standby')) v(name) LIMIT 1
SELECT * FROM pg_settings WHERE name = 'transaction_read_only'
SELECT name FROM users WHERE pg_is_in_recovery()
SELECT pg_is_in_recovery()
SELECT pg_catalog.pg_is_in_recovery()
SELECT NOT pg_is_in_recovery() AS writable
SELECT * FROM pg_is_in_recovery()
SELECT count(*) FROM users GROUP BY pg_is_in_recovery()
SELECT 1 FROM users ORDER BY pg_is_in_recovery() LIMIT 1
SELECT CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END
SELECT count(*) FILTER (WHERE pg_is_in_recovery()) FROM users
SELECT id FROM users LIMIT (CASE WHEN pg_is_in_recovery() THEN 1 ELSE 2 END)
SELECT row_number() OVER (PARTITION BY pg_is_in_recovery() ORDER BY id) FROM users
WITH w AS (SELECT pg_is_in_recovery() AS r) SELECT * FROM w
SELECT * FROM (VALUES (pg_is_in_recovery())) v
SELECT ARRAY[pg_is_in_recovery()], ROW(pg_is_in_recovery()), (ARRAY[1, 2])[CASE WHEN pg_is_in_recovery() THEN 1 ELSE 2 END]
SELECT JSON_OBJECT('r' : pg_is_in_recovery())
SELECT xmlelement(name r, pg_is_in_recovery())
SELECT (SELECT pg_is_in_recovery())
SELECT 1 UNION ALL SELECT CASE WHEN pg_is_in_recovery() THEN 2 ELSE 3 END
SELECT * FROM recovering
SELECT pg_backend_pid()
SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender'
SELECT pid, state, query FROM pg_stat_activity WHERE pid = pg_backend_pid()
SELECT pid FROM activity
SELECT * FROM pg_catalog.pg_stat_replication
SELECT pg_stat_get_db_xact_commit(oid) FROM pg_database
SELECT relname, n_live_tup FROM pg_stat_user_tables
SELECT * FROM pg_statio_user_tables
SELECT * FROM pg_locks
SELECT * FROM pg_prepared_xacts
SELECT * FROM pg_replication_slots
SELECT pg_postmaster_start_time(), pg_conf_load_time()
SELECT pg_last_wal_replay_lsn() IS NULL
SELECT pg_last_xact_replay_timestamp() IS NULL
SELECT pg_export_snapshot()
SELECT txid_current_snapshot(), pg_current_snapshot()
SELECT pg_current_xact_id_if_assigned()
SELECT pg_cancel_backend(0)
SELECT pg_terminate_backend(0)
SELECT pg_table_size('users'), pg_total_relation_size('users'), pg_relation_size('users')
SELECT pg_size_pretty(pg_database_size(current_database()))
SELECT * FROM pg_cursors
SELECT * FROM pg_prepared_statements
SELECT pg_my_temp_schema()
SELECT pg_listening_channels()
SELECT setting FROM pg_file_settings
SELECT * FROM pg_available_extensions
SELECT system_identifier FROM pg_control_system()
SELECT timeline_id FROM pg_control_checkpoint()
SELECT pg_read_file('PG_VERSION')
SELECT * FROM pg_ls_waldir()
SELECT pg_blocking_pids(1)
SELECT pg_notification_queue_usage()
SELECT pg_reload_conf()
COPY users TO '/dev/null'
COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'
SELECT pg_promote(false) FROM users WHERE false
EXPLAIN SELECT * FROM pg_locks
COPY (SELECT * FROM pg_stat_activity) TO STDOUT
DECLARE c CURSOR FOR SELECT * FROM pg_locks

--@ write, explicit lock [differs]
SELECT pg_advisory_lock(1)
SELECT pg_catalog.pg_advisory_lock(1, 2)
SELECT "pg_advisory_lock"(1)
SELECT pg_advisory_xact_lock(1)
SELECT pg_try_advisory_lock(1)
SELECT pg_try_advisory_xact_lock_shared(1)
SELECT pg_advisory_unlock(1)
SELECT pg_advisory_unlock_all()
SELECT PG_ADVISORY_LOCK(hashtext('x'))
SELECT id FROM orders WHERE pg_try_advisory_xact_lock(id) LIMIT 1
WITH l AS MATERIALIZED (SELECT pg_advisory_lock(7)) SELECT * FROM l
SELECT * FROM locking_view
SELECT 1 WHERE EXISTS (SELECT pg_try_advisory_lock(8))
EXPLAIN ANALYZE SELECT pg_advisory_lock(1)

--@ write, explicit lock
LOCK TABLE users
LOCK TABLE users IN ACCESS SHARE MODE
LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE NOWAIT

--@ write, sequence
SELECT nextval('ticket')
SELECT setval('ticket', 10)
SELECT nextval('ticket'::regclass) FROM generate_series(1, 3)
SELECT pg_catalog.nextval('ticket')
SELECT currval('ticket')
SELECT lastval()
SELECT * FROM next_ticket
SELECT COALESCE(NULL, nextval('ticket'))

--@ write, sequence [differs]
SELECT * FROM ticket
SELECT last_value FROM ticket
SELECT last_value FROM pg_sequences WHERE sequencename = 'ticket'
SELECT pg_sequence_last_value('ticket')

--@ write, volatile function
SELECT txid_current()
SELECT pg_current_xact_id()
SELECT pg_switch_wal()
SELECT pg_create_restore_point('x')
SELECT pg_logical_emit_message(true, 'a', 'b')

--@ write, volatile function [differs]
SELECT setseed(0.5)
SELECT 1 FROM (SELECT setseed(0.1)) x

--@ unknown, volatile function
SELECT touch_user(1)
SELECT public.touch_user(1)
SELECT id FROM users WHERE touch_user(id) > 3
SELECT unmarked(1)
SELECT app.remember('x')
SELECT remember('x')
SELECT overloaded(1)
SELECT * FROM users ORDER BY unmarked(id)
SELECT sum(unmarked(id)) OVER (PARTITION BY unmarked(id)) FROM users
SELECT * FROM unmarked(1)
SELECT counting(id) FROM users
SELECT ROW(1, 2)::pair === ROW(1, 2)::pair
SELECT ROW(1, 2)::pair OPERATOR(public.===) ROW(1, 2)::pair
SELECT 5::fresh_code
SELECT CAST(5 AS fresher_code), fresh_code '5'
SELECT u.shout FROM users u
SELECT (u).shout FROM users u
SELECT round('x')
SELECT round(1.5)
SELECT * FROM touching_view
SELECT count(*) FROM view_over_touching
SELECT * FROM operator_view
SELECT * FROM secrets
EXPLAIN SELECT touch_user(1)
COPY (SELECT touch_user(1)) TO STDOUT
SELECT * FROM users WHERE id = ANY (SELECT touch_user(1))
WITH w AS (SELECT touch_user(1)) SELECT 1
SELECT JSON_VALUE('{}', '$.a' DEFAULT unmarked(1) ON EMPTY)
SELECT * FROM XMLTABLE('/a' PASSING ('<a/>'::xml) COLUMNS v int PATH '.' DEFAULT unmarked(1))
SELECT * FROM users LEFT JOIN orders ON unmarked(users.id) = orders.id

--@ unknown, unknown function
SELECT no_such_function(1)
SELECT app.no_such_function(1)
SELECT pg_catalog.no_such_function(1)
SELECT app.upper('x')
SELECT * FROM no_such_function() AS f
SELECT dblink_exec('x')

--@ unknown, not proven a read
SELECT * FROM no_such_table
SELECT * FROM app.orders
SELECT * FROM pg_catalog.no_such_view
SELECT * FROM no_such_schema.users
SELECT * FROM os_release
SELECT query_to_xml('SELECT 1', true, true, '')
SELECT query_to_xml('DELETE FROM users', true, true, '')
SELECT table_to_xml('users', true, true, '')
SELECT * FROM ts_stat('SELECT search FROM documents')
SELECT database_to_xml(true, true, '')
SELECT * FROM (SELECT 1) AS x, no_such_table
SELECT (WITH users AS (SELECT 1) SELECT count(*) FROM users), (SELECT count(*) FROM orderz)
WITH orderz AS (SELECT * FROM orderz) SELECT * FROM orderz
EXECUTE nothing
EXECUTE nothing(1)
EXPLAIN EXECUTE nothing

--@ write, notification
SELECT pg_notify('channel', 'x')
NOTIFY channel
NOTIFY channel, 'payload'
LISTEN channel

--@ write, notification [differs]
UNLISTEN channel
UNLISTEN *

--@ write, large object
SELECT lo_create(0)
SELECT lo_creat(-1)
SELECT lo_open(4711, 262144)
SELECT lo_put(4711, 0, 'x')
SELECT lo_unlink(4711)
SELECT lo_from_bytea(0, 'x')
SELECT lo_import('/etc/hostname')
SELECT lo_export(4711, '/dev/null')
SELECT loread(0, 10)

--@ write, row lock
SELECT * FROM users FOR UPDATE
SELECT * FROM users WHERE id = 1 FOR NO KEY UPDATE
SELECT * FROM users FOR SHARE
SELECT * FROM users FOR KEY SHARE OF users NOWAIT
SELECT * FROM users FOR UPDATE SKIP LOCKED LIMIT 1
SELECT * FROM (SELECT * FROM users FOR UPDATE) u
SELECT * FROM users WHERE id IN (SELECT id FROM orders FOR SHARE)
WITH w AS (SELECT * FROM users FOR UPDATE) SELECT * FROM w
SELECT * FROM queue_head
(SELECT * FROM users FOR UPDATE)
DECLARE c CURSOR FOR SELECT * FROM users FOR UPDATE
EXPLAIN ANALYZE SELECT * FROM users FOR UPDATE
COPY (SELECT * FROM users FOR UPDATE) TO STDOUT

--@ write, SELECT INTO
SELECT * INTO copied FROM users
SELECT * INTO TEMP copied FROM users
SELECT 1 AS x INTO TABLE copied
WITH w AS (SELECT 1 AS x) SELECT * INTO copied FROM w

--@ write, unlogged relation
SELECT * FROM scratch
SELECT count(*) FROM public.scratch
SELECT * FROM users WHERE id IN (SELECT id FROM scratch)
SELECT * FROM scratch_view
SELECT * FROM measurements
SELECT * FROM measurements_2026
COPY scratch TO STDOUT
TABLE scratch
SELECT * FROM (WITH scratch AS (SELECT 1) SELECT * FROM scratch) a, scratch b

--@ write, temporary relation
SELECT * FROM pg_temp.whatever
CREATE TEMP TABLE t (id int)
CREATE TEMPORARY TABLE t AS SELECT 1
CREATE LOCAL TEMP TABLE t (id int) ON COMMIT DROP
CREATE TABLE pg_temp.t (id int)
CREATE TEMP TABLE t AS EXECUTE nothing

--@ write, data modification
INSERT INTO users VALUES (100, 'x')
INSERT INTO users (id, name) VALUES (100, 'x'), (101, 'y') RETURNING id
INSERT INTO users SELECT 100, 'x'
INSERT INTO users DEFAULT VALUES
INSERT INTO users VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name WHERE users.id = 1
INSERT INTO users VALUES (1, 'x') ON CONFLICT DO NOTHING
INSERT INTO app.users VALUES (1, 'x')
UPDATE users SET name = 'x' WHERE id = 1
UPDATE users SET (name, email) = ('a', 'b') FROM orders WHERE orders.user_id = users.id
UPDATE users SET (name, email) = (SELECT 'a', 'b') WHERE id = 1 RETURNING *
UPDATE users SET name = 'x' WHERE CURRENT OF c
UPDATE users SET active = DEFAULT
DELETE FROM users WHERE id = 1
DELETE FROM users USING orders WHERE orders.user_id = users.id RETURNING users.id
DELETE FROM ONLY users
MERGE INTO users u USING orders o ON u.id = o.user_id WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN INSERT VALUES (o.id, 'x')
MERGE INTO users u USING orders o ON u.id = o.user_id WHEN MATCHED THEN UPDATE SET name = 'x' RETURNING merge_action(), u.*
TRUNCATE users
TRUNCATE TABLE users, orders RESTART IDENTITY CASCADE
WITH d AS (DELETE FROM users RETURNING *) SELECT * FROM d
WITH i AS (INSERT INTO users VALUES (100, 'x') RETURNING id) SELECT count(*) FROM i
WITH a AS (SELECT 1), u AS (UPDATE users SET name = 'x') SELECT * FROM a
WITH a AS (WITH b AS (SELECT 1) SELECT * FROM b) INSERT INTO users SELECT 100, 'x' FROM a
WITH m AS (MERGE INTO users u USING orders o ON u.id = o.user_id WHEN MATCHED THEN DELETE RETURNING u.id) SELECT * FROM m
SELECT 1; DELETE FROM users
SELECT 1; SELECT 2; UPDATE users SET name = 'x'
INSERT INTO users VALUES (100, 'x'); SELECT 1
COPY users FROM STDIN
COPY users (id, name) FROM STDIN WITH (FORMAT csv)
COPY users FROM '/tmp/nothing'
COPY users FROM PROGRAM 'true'
COPY (INSERT INTO users VALUES (100, 'x') RETURNING id) TO STDOUT
COPY (WITH d AS (DELETE FROM users RETURNING *) SELECT * FROM d) TO STDOUT
EXPLAIN ANALYZE INSERT INTO users VALUES (100, 'x')
EXPLAIN (ANALYZE, BUFFERS) DELETE FROM users
EXPLAIN (ANALYZE true) UPDATE users SET name = 'x'
WITH x AS (SELECT 1) DELETE FROM users WHERE id IN (SELECT * FROM x)

--@ write, data modification [differs]
-- A standby plans it; the plan is of no use to somebody who is going to run it on the primary.
EXPLAIN INSERT INTO users VALUES (100, 'x')
EXPLAIN (ANALYZE off) DELETE FROM users
EXPLAIN (ANALYZE 0, COSTS off) DELETE FROM users

--@ read, EXPLAIN of a read [varies]
EXPLAIN SELECT * FROM users
EXPLAIN ANALYZE SELECT * FROM users
EXPLAIN (ANALYZE, BUFFERS, FORMAT json) SELECT * FROM users WHERE id = 1
EXPLAIN VERBOSE TABLE users
EXPLAIN (COSTS off) VALUES (1)
EXPLAIN DECLARE c CURSOR FOR SELECT * FROM users

--@ read, read-only COPY
COPY users TO STDOUT
COPY users (id, name) TO STDOUT WITH (FORMAT csv, HEADER)
COPY (SELECT * FROM users WHERE id < 3 ORDER BY id) TO STDOUT
COPY (SELECT 1) TO STDOUT (DELIMITER '|', NULL 'none')
COPY app.users TO STDOUT BINARY
COPY (VALUES (1), (2)) TO STDOUT

--@ read, cursor over a read
DECLARE c CURSOR FOR SELECT * FROM users
DECLARE c NO SCROLL CURSOR WITHOUT HOLD FOR SELECT * FROM users
DECLARE c BINARY INSENSITIVE SCROLL CURSOR FOR VALUES (1)
FETCH c
FETCH FORWARD 5 FROM c
MOVE ALL IN c
CLOSE c
CLOSE ALL

--@ write, session control [differs]
-- Runs on a standby, but what it makes belongs to a connection on which this session may also write.
DECLARE c CURSOR WITH HOLD FOR SELECT * FROM users
PREPARE q AS SELECT 1
PREPARE q (int) AS SELECT * FROM users WHERE id = $1
PREPARE q AS INSERT INTO users VALUES (100, 'x')
DEALLOCATE ALL
DEALLOCATE PREPARE ALL
LOAD 'auto_explain'
SET plpgsql.no_such_setting = 'x'
SELECT set_config('plpgsql.no_such_setting', 'x', false)
SELECT set_config('app.x', 'y', false)
SELECT set_config('app.x', 'y', true), 1
SELECT set_config('app.x', name, false) FROM users
SELECT set_config('search_path', 'app', true) WHERE true

--@ write, session control
DEALLOCATE q

--@ read, session control
SET plpgsql.variable_conflict = 'use_column'
SET search_path TO app, public
SET search_path = 'app'
SET SESSION work_mem = '8MB'
SET LOCAL statement_timeout = 1000
SET TIME ZONE 'UTC'
SET TIME ZONE LOCAL
SET search_path TO "$user", 'Mixed', '', 'a"b', public
SET search_path TO 'app, public'
SET DateStyle = ISO, DMY
SET extra_float_digits = -5
SET seq_page_cost = 1.50
SET enable_seqscan = off
SET TIME ZONE -7
SET TIME ZONE 5.5
SET TIME ZONE INTERVAL '+1:30'
SET temp_tablespaces = ''
SET XML OPTION CONTENT
SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE
SET NAMES 'UTF8'
SET ROLE corpus_role
SET ROLE NONE
SET SESSION AUTHORIZATION corpus_role
SET SESSION AUTHORIZATION DEFAULT
SET XML OPTION DOCUMENT
SET app.tenant = '42'
SET datestyle TO DEFAULT
SET default_transaction_read_only = on
SET work_mem = '8MB'; SET search_path = app
RESET search_path
RESET ALL
RESET ROLE
RESET SESSION AUTHORIZATION
RESET TIME ZONE
DISCARD ALL
DISCARD PLANS
DISCARD SEQUENCES
DISCARD TEMP
DISCARD TEMPORARY
SET transaction_read_only = on

--@ read, plain read
SET work_mem = '8MB'; SELECT 1
BEGIN; SELECT 1; COMMIT

--@ read, transaction control
BEGIN
BEGIN WORK
BEGIN TRANSACTION READ ONLY
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY
START TRANSACTION
START TRANSACTION READ ONLY, ISOLATION LEVEL READ COMMITTED, NOT DEFERRABLE
COMMIT
COMMIT AND CHAIN
END
ROLLBACK
ROLLBACK AND NO CHAIN
ABORT
SAVEPOINT s
RELEASE SAVEPOINT s
ROLLBACK TO SAVEPOINT s
SET TRANSACTION READ ONLY
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ
SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY

--@ write, transaction control
PREPARE TRANSACTION 'x'
COMMIT PREPARED 'x'
ROLLBACK PREPARED 'x'

--@ write, transaction control [differs]
SET CONSTRAINTS ALL DEFERRED

--@ unknown, procedure or code block
CALL do_nothing()
CALL touch_all()
CALL no_such_procedure(1)
DO $$ BEGIN NULL; END $$
DO LANGUAGE plpgsql $$ BEGIN UPDATE users SET name = 'x'; END $$
DO 'BEGIN PERFORM pg_advisory_lock(1); END'

--@ write, maintenance
VACUUM
VACUUM (ANALYZE) users
ANALYZE users
REINDEX TABLE users
CLUSTER users USING users_pkey
REFRESH MATERIALIZED VIEW user_stats
REFRESH MATERIALIZED VIEW CONCURRENTLY user_stats WITH DATA

--@ write, maintenance [differs]
ALTER SYSTEM SET work_mem = '4MB'
CHECKPOINT

--@ write, schema change
CREATE TABLE t (id int)
CREATE TABLE t AS SELECT 1
CREATE UNLOGGED TABLE t (id int)
CREATE TABLE t (LIKE users INCLUDING ALL)
CREATE TABLE t PARTITION OF logged_parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
CREATE VIEW v AS SELECT 1
CREATE OR REPLACE TEMP VIEW v AS SELECT 1
CREATE MATERIALIZED VIEW v AS SELECT 1
CREATE RECURSIVE VIEW v (n) AS SELECT 1
CREATE INDEX ON users (name)
CREATE UNIQUE INDEX CONCURRENTLY i ON users (name)
CREATE SEQUENCE s
CREATE TEMP SEQUENCE s
CREATE SCHEMA s
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END
CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'
CREATE AGGREGATE a (int) (SFUNC = int4pl, STYPE = int)
CREATE OPERATOR #### (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl)
CREATE CAST (text AS mood) WITH INOUT
CREATE TYPE t AS ENUM ('a')
CREATE TYPE t AS (a int)
CREATE TYPE t AS RANGE (SUBTYPE = float8)
CREATE DOMAIN d AS int CHECK (VALUE > 0)
CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION stamp()
CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION stamp()
CREATE RULE r AS ON INSERT TO users DO INSTEAD NOTHING
CREATE POLICY p ON users USING (true)
CREATE ROLE r
CREATE USER u PASSWORD 'x'
CREATE DATABASE d
CREATE TABLESPACE s LOCATION '/tmp'
CREATE EXTENSION pg_trgm
CREATE PUBLICATION p FOR ALL TABLES
CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p
CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw
CREATE FOREIGN DATA WRAPPER w
CREATE FOREIGN TABLE t (id int) SERVER files
CREATE USER MAPPING FOR CURRENT_USER SERVER elsewhere
CREATE STATISTICS s ON id, name FROM users
CREATE TEXT SEARCH CONFIGURATION c (COPY = english)
CREATE COLLATION c (LOCALE = 'C')
CREATE CONVERSION c FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8
CREATE LANGUAGE l HANDLER plpgsql_call_handler
CREATE ACCESS METHOD m TYPE TABLE HANDLER heap_tableam_handler
CREATE OPERATOR CLASS c FOR TYPE int USING btree AS OPERATOR 1 <
CREATE OPERATOR FAMILY f USING btree
CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION int4out(int))
ALTER TABLE users ADD COLUMN c int
ALTER TABLE users RENAME TO people
ALTER TABLE users SET SCHEMA app
ALTER TABLE users OWNER TO corpus_role
ALTER TABLE ALL IN TABLESPACE pg_default SET TABLESPACE pg_default
ALTER VIEW active_users RENAME TO v
ALTER SEQUENCE ticket RESTART
ALTER FUNCTION add_one(int) STABLE
ALTER TYPE mood ADD VALUE 'great'
ALTER TYPE pair ADD ATTRIBUTE c int
ALTER DOMAIN positive DROP CONSTRAINT IF EXISTS x
ALTER ROLE corpus_role SET work_mem = '1MB'
ALTER ROLE corpus_role PASSWORD 'x'
ALTER DATABASE postgres SET work_mem = '1MB'
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO corpus_role
ALTER EXTENSION file_fdw UPDATE
ALTER POLICY own ON tenants USING (true)
ALTER PUBLICATION p ADD TABLE users
ALTER TEXT SEARCH DICTIONARY english_stem (StopWords = english)
ALTER COLLATION "C" RENAME TO c
DROP TABLE users
DROP TABLE IF EXISTS nothing CASCADE
DROP VIEW active_users
DROP FUNCTION add_one(int)
DROP SCHEMA app CASCADE
DROP ROLE corpus_role
DROP DATABASE nothing
DROP EXTENSION file_fdw
DROP OWNED BY corpus_role
REASSIGN OWNED BY corpus_role TO postgres
DROP SUBSCRIPTION IF EXISTS s
DROP USER MAPPING IF EXISTS FOR corpus_role SERVER elsewhere
GRANT SELECT ON users TO corpus_role
GRANT corpus_role TO postgres
REVOKE ALL ON users FROM corpus_role
COMMENT ON TABLE users IS 'x'
SECURITY LABEL ON TABLE users IS 'x'
IMPORT FOREIGN SCHEMA public FROM SERVER elsewhere INTO app
SELECT 1; CREATE TABLE t (id int)

--@ unknown, text does not parse
SELEC 1
SELECT FROM WHERE
SELECT 'unterminated
SELECT 1 /* unterminated
SELECT $$unterminated
SELECT "unterminated
SELECT 1; SELEC
SELECT 1a
SELECT * FROM users FOR UPDATES
WAIT FOR LSN '0/1'
