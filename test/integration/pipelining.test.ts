import type pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { bind, execute, parse, query, sync } from '../support/conversation.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { Relay } from '../support/relay.ts';
import { connectPg, expectWholePools, until, WHERE } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';

/** A client that sends batches without reading has them sent on, not one for each reply to the one before. */
let cluster: Cluster;
let relay: Relay;
let pgweir: Pgweir;
let holder: pg.Client;
/** What pgweir has sent to PostgreSQL. */
let sent = '';

const BATCHES = 1_000;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 0 });
  await cluster.primary.query('CREATE TABLE piped (n int)');
  relay = await Relay.start(cluster.primary);
  relay.rule = ({ direction, chunk, text }) => {
    if (direction === 'to PostgreSQL') sent += text;
    return chunk;
  };
  pgweir = await startPgweir(cluster, `backends: [ { name: one, address: "127.0.0.1:${relay.port}" } ]`);
  holder = await connectPg(cluster.primary.port);
});

afterAll(async () => {
  await holder?.end();
  await pgweir?.[Symbol.asyncDispose]();
  await relay?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

afterEach(() => expectWholePools(pgweir, cluster));

const times = (text: string) => sent.split(text).length - 1;

test.each([
  ['simple queries', (text: string) => [query(text)]],
  ['batches of the extended protocol', (text: string) => [parse('', text), bind(''), execute(), sync]],
])('%s reach PostgreSQL before the first of them is answered', async (_kind, batch) => {
  using client = await WireClient.connect({ host: pgweir.host, port: pgweir.port, database: 'postgres', timeoutMs: 30_000 });
  await holder.query('SELECT pg_advisory_lock(1)');
  sent = '';
  const texts = Array.from(
    { length: BATCHES },
    (_, n) => `INSERT INTO piped VALUES (${n} / ${n % 100 === 50 ? 0 : 1}) RETURNING n`,
  );
  client.send(query('UPDATE piped SET n = n WHERE pg_advisory_lock_shared(1) IS NULL; SELECT pg_advisory_lock_shared(1)'));
  client.send(...texts.flatMap(batch));
  await until('all of them have been sent', () => times('INSERT INTO piped') === BATCHES);
  await holder.query('SELECT pg_advisory_unlock(1)');
  await client.receiveUntilReady();
  for (const n of texts.keys()) {
    const messages = await client.receiveUntilReady();
    const answer = messages.find(({ name }) => name === 'DataRow' || name === 'ErrorResponse')?.args[0];
    if (n % 100 === 50) expect(answer).toMatchObject({ C: '22012' });
    else expect(answer).toEqual([String(n)]);
  }
  expect((await client.query('SELECT pg_advisory_unlock_shared(1)')).rows).toEqual([['t']]);
});

test('reads of one batch go to a replica as one', async () => {
  await using split = await startCluster({ replicas: 2 });
  await using front = await startPgweir(split, 'routing: { fence_wait: 10s }');
  using client = await WireClient.connect({ host: front.host, port: front.port, database: 'postgres', timeoutMs: 30_000 });
  const places = async (texts: readonly string[]) => {
    client.send(...texts.flatMap((text) => [parse('', text), bind(''), execute()]), sync);
    const messages = await client.receiveUntilReady();
    return messages.filter(({ name }) => name === 'DataRow').map(({ args }) => Number(Object(args[0])[0]));
  };
  const replicas = split.replicas.map(({ port }) => port);
  for (let round = 0; round < 10; round++) {
    const [first, ...others] = await places([WHERE, WHERE, WHERE, WHERE]);
    expect(replicas).toContain(first);
    expect(others).toEqual([first, first, first]);
  }
  // One that writes takes all with it.
  const mixed = await places([WHERE, 'CREATE TEMP TABLE mine (n int)', WHERE]);
  expect(mixed).toEqual([split.primary.port, split.primary.port]);
});
