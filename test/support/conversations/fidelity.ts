import {
  awaits,
  bind,
  type Conversation,
  conversation,
  copyData,
  copyDone,
  describePortal,
  describeStatement,
  elsewhere,
  execute,
  flush,
  parse,
  queries,
  query,
  raw,
  ready,
  run,
  runNamed,
  startingWith,
  sync,
} from '../conversation.ts';

/** Settings that PostgreSQL reports, with two values that it may be given. */
const REPORTED: readonly (readonly [string, string, string])[] = [
  ['application_name', 'one', 'two'],
  ['client_encoding', 'LATIN1', 'UTF8'],
  ['DateStyle', 'German, DMY', 'SQL, MDY'],
  ['TimeZone', 'Asia/Tokyo', 'Europe/Vienna'],
  ['IntervalStyle', 'iso_8601', 'sql_standard'],
  ['standard_conforming_strings', 'off', 'on'],
  ['default_transaction_read_only', 'off', 'on'],
  ['search_path', 'public', 'pg_catalog, public'],
  ['scram_iterations', '5000', '6000'],
];

/** A reported setting by every road. */
function byEveryRoad([name, one, two]: readonly [string, string, string]): Conversation[] {
  const set = `SET ${name} = ${name === 'search_path' || name === 'DateStyle' ? one : `'${one}'`}`;
  const other = name === 'default_transaction_read_only' ? 'off' : two;
  return [
    conversation(
      `${name} by SET and RESET`,
      ...queries(set, set, `SHOW ${name}`, `RESET ${name}`, set, `SET ${name} TO DEFAULT`, set, 'RESET ALL', set, 'DISCARD ALL'),
    ),
    conversation(
      `${name} by set_config and a function`,
      ...queries(`SELECT set_config('${name}', '${one}', false)`, `SELECT set_config('${name}', '${other}', true)`),
      run('SELECT set_config($1, $2, false)', [name, other]),
      ready,
      ...queries(`DO $$ BEGIN PERFORM set_config('${name}', '${one}', false); END $$`, `SHOW ${name}`, 'SELECT 1'),
    ),
    conversation(
      `${name} in transactions`,
      ...queries('BEGIN', set, 'ROLLBACK', `SHOW ${name}`),
      ...queries('BEGIN', set, 'SELECT 1', 'COMMIT', `SHOW ${name}`),
      ...queries('BEGIN', `SELECT set_config('${name}', '${other}', true)`, 'SAVEPOINT s', `RESET ${name}`),
      ...queries('ROLLBACK TO s', `SHOW ${name}`, 'COMMIT', `SHOW ${name}`),
    ),
    conversation(
      `${name} in a message that fails`,
      ...queries(`${set}; SELECT 1/0`, `SHOW ${name}`, `${set}; SELECT 1`, 'RESET ALL'),
    ),
    startingWith(
      { parameters: { [name]: one } },
      conversation(
        `${name} of the startup packet`,
        ...queries(`SHOW ${name}`, `SELECT set_config('${name}', '${other}', false)`, `RESET ${name}`, 'DISCARD ALL'),
      ),
    ),
    startingWith(
      { parameters: { options: `-c ${name}=${one.replaceAll(/[ \\]/g, '\\$&')}` } },
      conversation(
        `${name} of the options`,
        ...queries(`SHOW ${name}`, `SELECT set_config('${name}', '${other}', false)`, 'RESET ALL', `SHOW ${name}`),
      ),
    ),
  ];
}

/** FunctionCall of a function by its OID, with text arguments. */
function functionCall(oid: number, ...args: readonly string[]): Buffer {
  const int16 = (value: number) => String.fromCharCode(value >>> 8, value & 0xff);
  const int32 = (value: number) => int16(value >>> 16) + int16(value & 0xffff);
  const values = args.map((arg) => int32(arg.length) + arg).join('');
  return raw('F', `${int32(oid)}${int16(0)}${int16(args.length)}${values}${int16(0)}`);
}

/** lo_open, loread, lo_close of pg_proc.dat. */
const LO_OPEN = 952;
const LOREAD = 954;
const LO_CLOSE = 953;

/** What whole programs rely on, road by road. */
export const FIDELITY: readonly Conversation[] = [
  ...REPORTED.flatMap(byEveryRoad),
  conversation(
    'large objects',
    ...queries(
      'SELECT lo_create(71000)',
      'BEGIN',
      'SELECT lo_open(71000, 393216)',
      "SELECT lowrite(0, 'some text')",
      'SELECT lo_lseek(0, 5, 0)',
      'SELECT loread(0, 10)',
      'SAVEPOINT s',
      'SELECT lo_truncate(0, 4)',
      'ROLLBACK TO s',
      'SELECT lo_tell(0)',
      'COMMIT',
      'SELECT lo_get(71000)',
      'SELECT lo_open(71000, 393216)',
      'SELECT loread(0, 10)',
      "SELECT lo_from_bytea(71001, 'more')",
      'SELECT lo_unlink(71000), lo_unlink(71001)',
      'SELECT lo_get(71000)',
    ),
  ),
  conversation(
    'large objects by FunctionCall, as libpq does it',
    ...queries("SELECT lo_from_bytea(71002, 'by fast path')", 'BEGIN'),
    functionCall(LO_OPEN, '71002', '262144'),
    ready,
    functionCall(LOREAD, '0', '7'),
    ready,
    functionCall(LO_CLOSE, '0'),
    ready,
    functionCall(LOREAD, '0', '7'),
    ready,
    ...queries('ROLLBACK', 'SELECT lo_unlink(71002)'),
    functionCall(LO_OPEN, '71002', '262144'),
    ready,
  ),
  conversation(
    'CALL with transactions inside, extended',
    run('CALL commits()'),
    ready,
    parse('c', 'CALL commits()'),
    sync,
    ready,
    runNamed('c'),
    ready,
    [...run('CALL commits()'), ...run('CALL commits()'), ready, ready],
    ...queries('SELECT count(*) FROM t'),
  ),
  conversation('CALL with transactions inside, behind another statement of its batch', [
    parse('', "INSERT INTO t VALUES (501, 'x')"),
    bind(''),
    execute(),
    parse('', 'CALL commits()'),
    bind(''),
    execute(),
    sync,
    ready,
    ...queries('SELECT count(*) FROM t'),
  ]),
  conversation(
    'DO with transactions inside',
    ...queries(
      "DO $$ BEGIN INSERT INTO t VALUES (502, 'x'); COMMIT; RAISE NOTICE 'between'; INSERT INTO t VALUES (503, 'x'); ROLLBACK; END $$",
      "DO $$ BEGIN INSERT INTO t VALUES (504, 'x'); COMMIT; PERFORM 1/0; END $$",
      'SELECT id FROM t ORDER BY id',
      'BEGIN; DO $$ BEGIN COMMIT; END $$',
      'ROLLBACK',
      "DO $$ BEGIN SET work_mem = '9MB'; COMMIT; SET work_mem = '10MB'; ROLLBACK; END $$",
      'SHOW work_mem',
    ),
  ),
  conversation(
    'two-phase commit, extended, and with a lock on its objects',
    run('BEGIN'),
    ready,
    run("INSERT INTO t VALUES (505, 'x')"),
    ready,
    run("PREPARE TRANSACTION 'three'"),
    ready,
    ...queries('SELECT gid FROM pg_prepared_xacts', 'SELECT count(*) FROM t'),
    run("COMMIT PREPARED 'three'"),
    ready,
    ...queries('BEGIN', 'CREATE TEMP TABLE mine (id int)', "PREPARE TRANSACTION 'four'", 'SELECT * FROM mine'),
    ...queries('BEGIN', 'LISTEN there', "PREPARE TRANSACTION 'five'", "NOTIFY there, 'x'"),
    ...queries('BEGIN', "SET work_mem = '9MB'", "PREPARE TRANSACTION 'six'", 'SHOW work_mem', "ROLLBACK PREPARED 'six'"),
    ...queries('BEGIN', 'SAVEPOINT s', "PREPARE TRANSACTION 'seven'", "COMMIT PREPARED 'seven'", 'ROLLBACK'),
    ...queries("BEGIN; PREPARE TRANSACTION 'eight'; SELECT 1", "COMMIT PREPARED 'eight'", "SELECT 1; COMMIT PREPARED 'nine'"),
  ),
  conversation(
    'what psql describes for \\gdesc and \\gset',
    [parse('', 'SELECT 1 AS one, 2::numeric(5, 2) AS two, now() AS three'), describeStatement(''), sync, ready],
    run("SELECT name, pg_catalog.format_type(tp, tpm) FROM (VALUES ('one', 23::oid, -1)) s (name, tp, tpm)"),
    ready,
    [parse('', 'UPDATE t SET name = $1 WHERE id = $2 RETURNING *'), describeStatement(''), sync, ready],
    [parse('', 'CREATE TABLE described ()'), describeStatement(''), sync, ready],
    [parse('', "SET work_mem = '9MB'"), describeStatement(''), sync, ready],
    [parse('', 'BEGIN'), describeStatement(''), sync, ready],
    [parse('', 'SHOW work_mem'), describeStatement(''), sync, ready],
    ...queries('SHOW work_mem'),
  ),
  conversation('rows one by one, with a Flush behind each', [
    ...queries('BEGIN'),
    parse('', 'SELECT id FROM t ORDER BY id'),
    bind(''),
    describePortal(),
    ...[1, 2, 3].flatMap(() => [execute('', 1), flush, awaits('PortalSuspended')]),
    execute('', 1),
    flush,
    awaits('CommandComplete'),
    sync,
    ready,
    ...queries('COMMIT'),
  ]),
  conversation('rows one by one outside of a transaction, and another statement between', [
    parse('', 'SELECT id FROM t ORDER BY id'),
    bind('', [], { portal: 'p' }),
    execute('p', 1),
    flush,
    awaits('PortalSuspended'),
    parse('', "INSERT INTO t VALUES (506, 'x')"),
    bind(''),
    execute(),
    execute('p', 1),
    execute('p'),
    sync,
    ready,
  ]),
  conversation(
    'positions in errors',
    ...queries(
      "SET work_mem = '9MB'",
      'SELECT   nothing FROM t',
      'SELECT 1;  SELECT   nothing',
      "BEGIN; SELECT 'a' + nothing",
      'ROLLBACK',
      "SELECT 'z\xc3\xa4hlt', nothing",
      'BEGIN',
      'SELECT  nothing_in_a_transaction',
      'ROLLBACK',
      'DO $$ BEGIN PERFORM   nothing; END $$',
      '/* pgweir: route=primary */ SELECT nothing',
    ),
    run('SELECT $1::int + nothing', ['1']),
    ready,
    parse('n', 'SELECT  nothing'),
    sync,
    ready,
  ),
  conversation(
    'notices, in every order and by every protocol',
    ...queries('SELECT noisy(1); SELECT noisy(2), 1/0; SELECT noisy(3)', 'SELECT noisy(i) FROM generate_series(1, 3) i'),
    [parse('', 'SELECT noisy(4)'), bind(''), execute(), parse('', 'SELECT noisy(5)'), bind(''), execute(), sync, ready],
    ...queries('SET client_min_messages = error', 'SELECT noisy(6)', 'RESET client_min_messages', 'SELECT noisy(7)'),
    ...queries('BEGIN', 'SET LOCAL client_min_messages = warning', 'SELECT noisy(8)', 'COMMIT', 'SELECT noisy(9)', 'COMMIT'),
  ),
  conversation(
    'notifications while idle, one after the other and between batches',
    ...queries('LISTEN there', 'LISTEN elsewhere'),
    elsewhere("NOTIFY there, 'one'; NOTIFY elsewhere, 'two'"),
    awaits('NotificationResponse'),
    awaits('NotificationResponse'),
    run('SELECT 1'),
    ready,
    elsewhere("NOTIFY there, 'three'"),
    awaits('NotificationResponse'),
    ...queries('UNLISTEN there'),
    elsewhere("NOTIFY there, 'four'; NOTIFY elsewhere, 'five'"),
    awaits('NotificationResponse'),
    ...queries('DISCARD ALL', 'SELECT pg_listening_channels()'),
  ),
  conversation('a thousand batches without reading, some of which fail', [
    ...Array.from({ length: 1000 }, (_, n) =>
      run(
        n % 7 === 3
          ? `SELECT 1/${n % 2 === 0 ? 0 : 1}, ${n}`
          : n % 50 === 5
            ? `INSERT INTO t VALUES (${1000 + n}, 'x')`
            : `SELECT ${n}`,
      ),
    ).flat(),
    ...Array.from({ length: 1000 }, () => ready),
    ...queries('SELECT count(*), min(id), max(id) FROM t'),
  ]),
  conversation(
    'EXPLAIN in every form',
    ...queries(
      'EXPLAIN (COSTS OFF) SELECT * FROM t WHERE id = 1',
      'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT 1',
      "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) INSERT INTO t VALUES (507, 'x')",
      'SELECT count(*) FROM t',
      'PREPARE e AS SELECT 1',
      'EXPLAIN (COSTS OFF) EXECUTE e',
    ),
  ),
  conversation(
    'temporary tables in front of real ones, by every statement',
    parse('real', 'SELECT count(*) FROM t'),
    sync,
    ready,
    ...queries('CREATE TEMP TABLE t (id int) ON COMMIT DELETE ROWS', 'INSERT INTO t VALUES (1)', 'SELECT * FROM t', 'BEGIN'),
    ...queries('INSERT INTO t VALUES (2)', 'SELECT * FROM t'),
    [query('COPY t FROM STDIN'), copyData('3\n'), copyDone, ready],
    runNamed('real'),
    ready,
    ...queries('COMMIT', 'SELECT * FROM t', 'SELECT count(*) FROM public.t', 'DISCARD TEMP', 'SELECT count(*) FROM t'),
  ),
];
