import {
  awaits,
  bind,
  type Conversation,
  closeStatement,
  conversation,
  copyData,
  copyDone,
  copyFail,
  describePortal,
  describeStatement,
  execute,
  flush,
  parse,
  queries,
  query,
  ready,
  run,
  runNamed,
  sync,
} from '../conversation.ts';

const copied = [query('COPY t FROM STDIN'), copyData('200\tx\n'), copyDone, ready];

/** What scripts made by chance have found, each cut down to what it needs. */
export const FOUND: readonly Conversation[] = [
  conversation('the unnamed statement of whoever had the connection before', [
    bind(''),
    execute(),
    sync,
    ready,
    describeStatement(''),
    sync,
    ready,
  ]),
  conversation('a Close of the unnamed statement that was skipped', [
    ...[parse('', 'SELECT 1/0'), bind(''), execute(), closeStatement(''), sync, ready],
    ...[bind(''), describePortal(), execute(), sync, ready],
  ]),
  conversation('DISCARD ALL leaves the unnamed statement', [...run('DISCARD ALL'), ready, describeStatement(''), sync, ready]),
  conversation('a Parse that was skipped, and the unnamed statement used behind it', [
    ...[bind(''), parse('', 'SELECT 1'), bind(''), execute(), sync, ready, bind(''), sync, ready],
  ]),
  conversation('a Parse of the unnamed statement that failed, and another behind it', [
    ...[parse('', 'SELECT 1; SELECT 2'), sync, ready, ...run('SELECT 1'), ready, describeStatement(''), sync, ready],
  ]),
  conversation('two batches that skip a Parse of the unnamed statement', [
    ...[
      execute('p'),
      ...run('SELECT 1'),
      ready,
      execute('p'),
      parse('', 'SELECT 2'),
      sync,
      ready,
      describeStatement(''),
      sync,
      ready,
    ],
  ]),
  conversation('a batch that fails between two uses of the unnamed statement', [
    ...[
      ...run('SELECT 1'),
      ready,
      describeStatement('b'),
      bind(''),
      sync,
      ready,
      bind(''),
      describePortal(),
      execute(),
      sync,
      ready,
    ],
  ]),
  conversation('a name that a failed batch would have given', [
    ...[bind(''), parse('a', 'SELECT 1'), sync, ready, query('PREPARE a AS SELECT 7'), ready, query('EXECUTE a'), ready],
  ]),
  conversation('EXECUTE of a name that is given behind it', [
    ...[parse('', 'EXECUTE a'), bind(''), execute(), parse('a', 'SELECT 1'), sync, ready, query('EXECUTE a'), ready],
  ]),
  conversation('EXECUTE of a name that a failed batch would have given', [
    ...[bind(''), parse('a', 'SELECT 1'), sync, ready, query('EXECUTE a'), ready, ...run('EXECUTE a'), ready],
  ]),
  conversation('EXECUTE of a name that DEALLOCATE ALL took', [
    ...[parse('a', 'SELECT 1'), sync, ready, query('DEALLOCATE ALL'), ready, ...run('EXECUTE a'), ready],
  ]),
  conversation('PREPARE of a name that a failed batch would have taken away', [
    ...[
      parse('a', 'SELECT 1'),
      sync,
      ready,
      bind('nothing'),
      closeStatement('a'),
      sync,
      ready,
      query('PREPARE a AS SELECT 7'),
      ready,
    ],
  ]),
  conversation('Parse of a name that SQL took in the message before', [
    query('PREPARE a AS SELECT 7'),
    ready,
    parse('a', 'SELECT 1'),
    sync,
    ready,
  ]),
  conversation('Parse of a name that SQL took in the same batch', [
    ...[parse('', 'PREPARE a AS SELECT 7'), bind(''), execute(), parse('a', 'SELECT 1'), sync, ready],
  ]),
  conversation('Parse of its own name for EXECUTE, behind LISTEN', [
    query('LISTEN there'),
    ready,
    parse('a', 'EXECUTE a'),
    sync,
    ready,
  ]),
  conversation('a skipped Close of an unknown name, and the name given twice behind it', [
    ...[
      bind(''),
      closeStatement('b'),
      sync,
      ready,
      parse('b', 'SELECT 1'),
      parse('b', 'SELECT 1'),
      sync,
      ready,
      ...runNamed('b'),
      ready,
    ],
  ]),
  conversation('COMMIT AND CHAIN that is refused, and a COPY behind it', [query('COMMIT AND CHAIN'), ready, ...copied]),
  conversation('COMMIT AND CHAIN that is refused, and a transaction behind it', [
    ...[query('COMMIT AND CHAIN'), ready, query('BEGIN; SELECT 1'), ready, ...copied],
  ]),
  conversation('BEGIN that is only prepared, behind an error', [
    ...[describePortal(), flush, parse('', 'BEGIN'), sync, ready, ...run('LISTEN there'), ready],
  ]),
  conversation('a flushed read and a write in one batch', [
    ...[
      parse('', 'SELECT 1'),
      bind(''),
      execute(),
      flush,
      parse('', "INSERT INTO t VALUES (99, 'x')"),
      bind(''),
      execute(),
      sync,
      ready,
    ],
  ]),
  conversation('a write behind the end of a read-only transaction, pipelined', [
    ...[query('BEGIN READ ONLY'), ready, query('SELECT count(*) FROM t'), ready],
    ...[query('COMMIT'), query("INSERT INTO t VALUES (99, 'x')"), query('SELECT count(*) FROM t'), ready, ready, ready],
  ]),
  conversation('a read behind the end of a failed read-only transaction, pipelined, serializable by default', [
    ...[query('SET default_transaction_isolation = serializable'), ready],
    ...[query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY'), ready, query('SELECT 1/0'), ready],
    ...[query('ROLLBACK'), query('SELECT count(*) FROM t'), ready, ready],
  ]),
  // Messages that end a transaction on a replica and go on with what needs the primary.
  ...[
    ['ROLLBACK; DELETE FROM t WHERE id = 1'],
    ["COMMIT; INSERT INTO t VALUES (101, 'x'); SELECT count(*) FROM t"],
    ["SELECT 'a;b'; COMMIT ; ; INSERT INTO t VALUES (102, 'x') RETURNING id", 'SELECT count(*) FROM t'],
    ['COMMIT; BEGIN; SELECT count(*) FROM t', "INSERT INTO t VALUES (103, 'x')", 'COMMIT'],
    ['SELECT 1/0; ROLLBACK; DELETE FROM t', 'ROLLBACK; DELETE FROM t WHERE id = 2'],
    ['SELECT 1/0', "COMMIT; INSERT INTO t VALUES (104, 'x')"],
    ['ROLLBACK; DELETE FROM t WHERE nowhere = 1; DELETE FROM t', 'SELECT count(*) FROM t'],
    ["ROLLBACK; INSERT INTO t VALUES (105, 'x'); SELECT 1/0", 'SELECT count(*) FROM t'],
    ['COMMIT; COPY t FROM STDIN', 'SELECT 1'],
    ['COMMIT; COMMIT', "ROLLBACK; SET LOCAL work_mem = '6MB'", 'SHOW work_mem'],
    ["SET work_mem = '6MB'", "COMMIT; INSERT INTO t VALUES (106, current_setting('work_mem'))", 'SHOW work_mem'],
    ["SET work_mem = '6MB'", "ROLLBACK; INSERT INTO t VALUES (107, current_setting('work_mem')) RETURNING name"],
    ["SELECT 1; COMMIT; SELECT nextval('numbers'); BEGIN READ ONLY", "INSERT INTO t VALUES (108, 'x')", 'ROLLBACK'],
  ].map((texts) =>
    conversation(
      `in a read-only transaction: ${texts.join(' | ')}`,
      ...queries('BEGIN READ ONLY', 'SELECT count(*) FROM t'),
      ...texts.map((text) =>
        text.includes('COPY') ? [query(text), awaits('CopyInResponse'), copyFail('no'), ready] : [query(text), ready],
      ),
      ...queries('SELECT id FROM t ORDER BY id', 'ROLLBACK'),
    ),
  ),
  conversation('a message that ends a read-only transaction and goes on, pipelined', [
    ...[query('BEGIN READ ONLY'), query('SELECT count(*) FROM t'), query('ROLLBACK; DELETE FROM t WHERE id = 1')],
    ...[query('SELECT count(*) FROM t'), query('BEGIN'), query('SELECT 1/0'), query('COMMIT; SELECT 1'), query('SELECT 2')],
    ...[ready, ready, ready, ready, ready, ready, ready, ready],
  ]),
  // What a transaction may only do before its first query, and what a replica refuses though it does not write.
  ...[
    ['SET TRANSACTION ISOLATION LEVEL SERIALIZABLE', 'SHOW transaction_isolation', 'SELECT count(*) FROM t'],
    ['SET TRANSACTION READ WRITE', "INSERT INTO t VALUES (110, 'x')"],
    ['LISTEN there', 'UNLISTEN *'],
    ['SHOW work_mem', "NOTIFY there, 'x'", 'SHOW work_mem'],
    ['LOCK TABLE t', 'SHOW transaction_read_only'],
  ].map((texts) =>
    conversation(
      `in a read-only transaction without a query: ${texts.join(' | ')}`,
      ...queries("BEGIN READ ONLY; SET work_mem = '7MB'", ...texts, 'COMMIT', 'SHOW work_mem', 'RESET work_mem', 'UNLISTEN *'),
    ),
  ),
  ...[
    ['COMMIT AND CHAIN', 'SHOW transaction_read_only', 'SHOW transaction_isolation', "INSERT INTO t VALUES (111, 'x')"],
    ['ROLLBACK AND CHAIN', 'SHOW transaction_read_only', 'SHOW transaction_isolation', "INSERT INTO t VALUES (112, 'x')"],
    ["COMMIT AND CHAIN; INSERT INTO t VALUES (113, 'x')"],
    ['ROLLBACK', 'BEGIN READ ONLY; SELECT 1', 'COMMIT AND CHAIN; SELECT 1/0', 'ROLLBACK AND CHAIN', 'SHOW transaction_read_only'],
    [
      'ROLLBACK',
      'BEGIN READ ONLY; SELECT 1',
      'SELECT 1; COMMIT AND CHAIN',
      'SELECT 1/0',
      'COMMIT AND CHAIN',
      'SHOW transaction_read_only',
    ],
  ].map((texts) =>
    conversation(
      `in a read-only transaction that failed: ${texts.join(' | ')}`,
      ...queries(
        'BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY',
        'SELECT 1/0',
        ...texts,
        'COMMIT',
        'SELECT id FROM t ORDER BY id',
      ),
    ),
  ),
  conversation('LISTEN in a read-only transaction', ...queries('BEGIN READ ONLY', 'LISTEN there', 'ROLLBACK')),
  conversation('COPY in a read-only transaction', ...queries('BEGIN READ ONLY', 'COPY t FROM STDIN', 'ROLLBACK')),
  conversation('a read-only transaction that is begun in a batch and becomes SERIALIZABLE', [
    ...[parse('', 'BEGIN READ ONLY'), bind(''), execute(), parse('', "SET work_mem = '6MB'"), bind(''), execute(), sync, ready],
    ...[...run('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE'), ready],
    ...queries('SHOW transaction_isolation', 'COMMIT', 'SHOW work_mem', 'RESET work_mem'),
  ]),
  conversation('a batch that ends a read-only transaction that failed, and goes on', [
    ...queries('BEGIN READ ONLY', 'SELECT 1/0'),
    ...[parse('', 'ROLLBACK'), bind(''), execute(), parse('', 'DELETE FROM t WHERE id = 1'), bind(''), execute(), sync, ready],
    ...queries('SELECT count(*) FROM t'),
  ]),
];
