import fc from 'fast-check';
import {
  bind,
  type Conversation,
  closePortal,
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
  query,
  raw,
  ready,
  run,
  sync,
} from './conversation.ts';

/** Few texts that change what the others mean. */
const TEXTS = [
  'SELECT 1',
  'SELECT id FROM t ORDER BY id',
  'SELECT count(*) FROM t',
  "INSERT INTO t VALUES (100, 'x')",
  "UPDATE t SET name = 'y' WHERE id = 1 RETURNING name",
  'SELECT 1/0',
  'SELEC',
  '',
  'COMMIT',
  'COMMIT',
  'ROLLBACK',
  'COMMIT AND CHAIN',
  'SAVEPOINT s',
  'ROLLBACK TO s',
  "SET work_mem = '7MB'",
  "SET LOCAL work_mem = '8MB'",
  'SHOW work_mem',
  'RESET work_mem',
  "SET application_name = 'z'",
  "SET LOCAL statement_timeout = '30s'",
  'RESET ALL',
  'LISTEN there',
  "NOTIFY there, 'x'",
  'DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id',
  'DECLARE h CURSOR WITH HOLD FOR SELECT 1',
  'FETCH c',
  'CLOSE ALL',
  'CREATE TEMP TABLE mine (id int)',
  'SELECT * FROM mine',
  'SELECT pg_advisory_lock(7)',
  'COPY t TO STDOUT',
  'BEGIN; SELECT 1',
  'SELECT 1; COMMIT',
  'SELECT 1; SELECT 1/0; SELECT 2',
  "INSERT INTO t VALUES (101, 'x'); SELECT count(*) FROM t",
];

/** By themselves: what else is in a batch with them has deviations of its own (`deviations.ts`). */
const ALONE = [
  ...TEXTS,
  'BEGIN',
  'BEGIN',
  'BEGIN',
  'DEALLOCATE ALL',
  'DISCARD ALL',
  'PREPARE a AS SELECT 7',
  'EXECUTE a',
  'DEALLOCATE a',
];

const text = fc.constantFrom(...TEXTS);
const name = fc.constantFrom('', '', 'a', 'b');
const portal = fc.constantFrom('p', 'c');

const message = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(name, text).map(([name, text]) => [parse(name, text)]) },
  { weight: 4, arbitrary: fc.tuple(name, fc.constantFrom('', 'p')).map(([name, portal]) => [bind(name, [], { portal })]) },
  { weight: 4, arbitrary: fc.tuple(portal, fc.constantFrom(0, 0, 1)).map(([portal, limit]) => [execute(portal, limit)]) },
  { weight: 5, arbitrary: text.map((text) => [parse('', text), bind(''), execute()]) },
  { weight: 3, arbitrary: name.map((name) => [bind(name), describePortal(), execute()]) },
  { weight: 2, arbitrary: name.map((name) => [describeStatement(name)]) },
  { weight: 1, arbitrary: portal.map((portal) => [describePortal(portal)]) },
  { weight: 2, arbitrary: name.map((name) => [closeStatement(name)]) },
  { weight: 1, arbitrary: portal.map((portal) => [closePortal(portal)]) },
  { weight: 1, arbitrary: text.map((text) => [parse('', text), bind(''), execute(), flush]) },
);

const copyText = fc.constantFrom('COPY t FROM STDIN', 'COPY t FROM STDIN', 'COPY nowhere FROM STDIN');
const copied = fc.tuple(
  fc.constantFrom([copyData('200\tx\n')], [copyData('nonsense\n')], [copyData('200\t'), copyData('x\n')], []),
  fc.constantFrom(copyDone, copyDone, copyFail('no more')),
);

/** Whatever draws exactly one ReadyForQuery. */
const unit = fc.oneof(
  { weight: 6, arbitrary: fc.array(message, { maxLength: 4 }).map((messages) => [...messages.flat(), sync]) },
  { weight: 4, arbitrary: fc.constantFrom(...ALONE).map((text) => [query(text)]) },
  { weight: 2, arbitrary: fc.constantFrom(...ALONE).map((text) => run(text)) },
  { weight: 1, arbitrary: fc.tuple(copyText, copied).map(([text, [data, end]]) => [query(text), ...data, end]) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(copyText, copied)
      .map(([text, [data, end]]) => [parse('', text), bind(''), execute(), ...data, end, sync]),
  },
  // FunctionCall of int4pl(1, 2).
  { weight: 1, arbitrary: fc.constant([raw('F', '\0\0\0\xb1\0\x01\0\0\0\x02\0\0\0\x011\0\0\0\x012\0\0')]) },
);

/** A short conversation; printed, it is the lines that the client says. */
export const script: fc.Arbitrary<Conversation> = fc
  .array(unit, { minLength: 1, maxLength: 7 })
  .map((units) => conversation('script', ...units.map((messages) => [...messages, ready])));
