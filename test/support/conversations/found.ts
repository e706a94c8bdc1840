import {
  bind,
  type Conversation,
  closeStatement,
  conversation,
  copyData,
  copyDone,
  describePortal,
  describeStatement,
  execute,
  flush,
  parse,
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
];
