#!/usr/bin/env bash
# psql and libpq as they are: simple queries, \gset, \gdesc, \watch-less scripts, -1, \copy, Ctrl-C.
set -uo pipefail
where="SELECT current_setting('port')"

run() { psql -XAtq -v VERBOSITY=verbose "$@" 2>&1 </dev/stdin; }
# Lines as seen; where in PostgreSQL's sources an error was raised is the same on both sides, so it stays.
seen() { sed 's/^/: /'; }
# Ports become places, all else is seen.
placed() { while IFS= read -r line; do case $line in port\ *) echo "@ ${line#port } $1" ;; *) echo ": $line" ;; esac; done; }
port="SELECT 'port ' || current_setting('port')"

echo '= autocommit'
run <<<"$port; $port" | placed 'autocommit read'
for n in 1 2 3; do run -c "$port" | placed 'autocommit read'; done
run <<<"INSERT INTO note (body) VALUES ('one') RETURNING 'port ' || current_setting('port');" | placed write
run <<<"INSERT INTO note (body) VALUES ('two') RETURNING id; SELECT * FROM note ORDER BY id; UPDATE note SET body = 'x'; DELETE FROM note; SELECT count(*) FROM note;" | seen
run <<<"$where AS port \\gset
\\echo port :port
SELECT 1 AS a, 'x' AS b \\gset v_
\\echo :v_a :v_b
SELECT 1 AS a, now() AS b \\gdesc
SELECT 'SELECT ' || n FROM generate_series(1, 3) n \\gexec" | placed 'autocommit read'

echo '= transactions'
run <<<"BEGIN; $port; INSERT INTO note (body) VALUES ('kept'); SELECT body FROM note; COMMIT; BEGIN; INSERT INTO note (body) VALUES ('gone'); ROLLBACK; SELECT body FROM note;" | placed 'read in a transaction'
run -1 <<<"INSERT INTO note (body) VALUES ('single'); SELECT count(*) FROM note;" | seen
run -c "INSERT INTO note (body) VALUES ('multi'); SELECT count(*) FROM note" | seen
run <<<"\\set AUTOCOMMIT off
INSERT INTO note (body) VALUES ('off');
ROLLBACK;
SELECT count(*) FROM note;" | seen

echo '= read-only transactions'
run <<<"BEGIN READ ONLY; $port; SELECT count(*) FROM tea; COMMIT; START TRANSACTION READ ONLY; $port; COMMIT;" | placed 'read in a read-only transaction'
run <<<"BEGIN; SET TRANSACTION READ ONLY; $port; INSERT INTO note (body) VALUES ('no'); ROLLBACK;" | placed 'read in a read-only transaction'
run <<<"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; $port;" | placed 'read in a read-only session'
PGOPTIONS='-c default_transaction_read_only=on' run <<<"$port; INSERT INTO note (body) VALUES ('no');" | placed 'read in a read-only session'

echo '= savepoints'
run <<<"BEGIN; INSERT INTO note (body) VALUES ('a'); SAVEPOINT one; SELECT 1/0; SELECT 1; ROLLBACK TO one; INSERT INTO note (body) VALUES ('b'); RELEASE one; COMMIT; SELECT body FROM note WHERE body IN ('a', 'b') ORDER BY 1;" | seen
run <<<"\\set ON_ERROR_ROLLBACK on
BEGIN;
INSERT INTO note (body) VALUES ('c');
SELECT 1/0;
INSERT INTO note (body) VALUES ('d');
COMMIT;
SELECT body FROM note WHERE body IN ('c', 'd') ORDER BY 1;" | seen

echo '= prepared statements'
run <<<"PREPARE tea_by_id (int) AS SELECT name FROM tea WHERE id = \$1; EXECUTE tea_by_id(1); BEGIN; EXECUTE tea_by_id(2); ROLLBACK; EXECUTE tea_by_id(3); DEALLOCATE tea_by_id; EXECUTE tea_by_id(4);" | seen
run <<<"SELECT \$1::int + 1 \\bind 2 \\g" | seen

echo '= copy'
seq 1 20000 | sed 's/.*/copied &/' | run -c "\\copy note (body) FROM STDIN" | seen
run -c "COPY (SELECT body FROM note WHERE body LIKE 'copied%' ORDER BY id) TO STDOUT" | md5sum | seen
printf '1\tx\ty\n' | run -c "COPY tea FROM STDIN" | seen
run <<<"COPY note (body) FROM STDIN;
inline
\\.
SELECT count(*) FROM note WHERE body = 'inline'; COPY tea TO STDOUT (FORMAT csv, HEADER);" | md5sum | seen

echo '= listen'
run <<<"LISTEN kettle; NOTIFY kettle, 'own'; SELECT 1; UNLISTEN kettle; NOTIFY kettle; SELECT 2;" | sed 's/PID [0-9]*/PID n/' | seen

echo '= cancel'
for statement in "SELECT pg_sleep(60)" "INSERT INTO note (body) SELECT 'cancelled' FROM pg_sleep(60)"; do
  output=$(mktemp)
  psql -XAtq -c "$statement" -c "SELECT count(*) FROM note WHERE body = 'cancelled'" >"$output" 2>&1 &
  pid=$!
  sleep 1
  # What Ctrl-C sends; a shell without job control has its children ignore SIGINT, which psql takes back.
  kill -INT $pid
  wait $pid
  seen <"$output"
  rm -f "$output"
done

echo '= types'
run <<<"SELECT * FROM specimen ORDER BY id; \\x
SELECT * FROM specimen WHERE id = 1; SELECT '\\x00ff'::bytea, 'snow ☃';
SET client_encoding = 'LATIN1'; SELECT octet_length('é');" | seen

echo '= cursors'
run <<<"\\set FETCH_COUNT 10
SELECT sum(n) OVER () FROM generate_series(1, 25) n;
BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT id FROM tea ORDER BY id; FETCH 2 FROM c; COMMIT; FETCH 2 FROM c; CLOSE c; SELECT count(*) FROM tea;" | seen

echo '= pool return'
run <<<"SET application_name = 'dirty'; CREATE TEMP TABLE dirt (n int); SELECT pg_advisory_lock(7); LISTEN dirt;
SHOW application_name; DISCARD ALL; SHOW application_name; SELECT count(*) FROM dirt; SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';
SET SESSION AUTHORIZATION DEFAULT; RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); DISCARD SEQUENCES; DISCARD TEMP; SELECT 3;" | seen

echo '= options'
show="SHOW application_name; SHOW search_path; SHOW work_mem; SHOW client_encoding;"
for dsn in '' "application_name='tea shop'" "options='-c search_path=pg_catalog -c application_name=x'" 'target_session_attrs=read-write' \
  'target_session_attrs=prefer-standby' 'client_encoding=LATIN1'; do
  run "$dsn" <<<"$show \\echo :ENCODING :SERVER_VERSION_NAME" | seen
done
PGOPTIONS='-c work_mem=3MB' PGAPPNAME=env PGCLIENTENCODING=UTF8 run <<<"$show" | seen
for dsn in 'target_session_attrs=standby' 'dbname=nosuch' "options='-c nosuch=1'" 'sslmode=require'; do
  run "$dsn" <<<'SELECT 1' | sed 's/.*: *//' | seen
done

echo '= errors'
run <<<"SELEC 1; SELECT 1/0; SELECT * FROM nosuch; INSERT INTO tea VALUES (1, 'x', 1); SELECT 'x'::int; SELECT 1;
DO \$\$ BEGIN RAISE NOTICE 'boiling'; RAISE WARNING 'boils'; END \$\$; SELECT 1 \\; SELECT 1/0;
\\errverbose
SELECT 2;" | seen
run -v ON_ERROR_STOP=1 <<<"SELECT 1/0; SELECT 3;" | seen
run -c "\\d tea" -c "\\dt" -c "\\df+ nosuch" -c "\\dn" | seen

echo '= changed tables'
run <<<"PREPARE tea_by_id (int) AS SELECT * FROM tea WHERE id = \$1; EXECUTE tea_by_id(1);
ALTER TABLE tea ADD COLUMN extra int; EXECUTE tea_by_id(1); ALTER TABLE tea DROP COLUMN extra; EXECUTE tea_by_id(1);" | seen
