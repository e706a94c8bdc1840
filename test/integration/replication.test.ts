import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { copyDone, query } from '../support/conversation.ts';
import { type Pgweir, startPgweir } from '../support/pgweir.ts';
import { expectWholePools, until } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';

/** Replication connections are relayed whole to the primary, in both forms, with COPY in both directions. */
let cluster: Cluster;
let pgweir: Pgweir;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1 });
  await cluster.primary.query('CREATE TABLE notes (text text)');
  pgweir = await startPgweir(cluster);
});

afterAll(async () => {
  if (pgweir !== undefined) await expectWholePools(pgweir, cluster);
  await pgweir?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

const connect = (replication: string, database?: string) =>
  WireClient.connect({
    host: pgweir.host,
    port: pgweir.port,
    timeoutMs: 20_000,
    parameters: { replication },
    ...(database === undefined ? {} : { database }),
  });

describe.each([
  ['database', 'postgres'],
  ['true', undefined],
])('replication=%s', (replication, database) => {
  test('is spoken with the primary', async () => {
    using client = await connect(replication, database);
    const [identity] = (await client.query('IDENTIFY_SYSTEM')).rows;
    const [own] = await cluster.primary.query('SELECT system_identifier::text AS id FROM pg_control_system()');
    expect(identity?.[0]).toBe(own?.id);
    expect((await client.query('SHOW port')).rows).toEqual([[String(cluster.primary.port)]]);
  });

  test('streams what is written, and ends when the client is done', async () => {
    using client = await connect(replication, database);
    const position = (await client.query('IDENTIFY_SYSTEM')).rows[0]?.[2];
    client.send(query(`START_REPLICATION PHYSICAL ${position}`));
    expect((await client.receive(1))[0]?.name).toBe('CopyBothResponse');
    await cluster.primary.query("INSERT INTO notes VALUES ('a text that is found again in the WAL')");
    const heard: string[] = [];
    while (!heard.some((data) => data.includes('a text that is found again'))) {
      const [message] = await client.receive(1);
      if (message?.name === 'CopyData') heard.push(message.bytes.toString('latin1'));
    }
    client.send(copyDone);
    const names = (await client.receiveUntilReady()).map(({ name }) => name);
    expect(names.filter((name) => name !== 'CopyData')).toEqual([
      'CopyDone',
      'CommandComplete',
      'CommandComplete',
      'ReadyForQuery',
    ]);
    expect((await client.query('IDENTIFY_SYSTEM')).rows).toHaveLength(1);
  });

  test('ends on one side when it has ended on the other', async () => {
    const senders = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walsender' AND query LIKE 'START_REPLICATION%'";
    const replica = await cluster.primary.query(senders);
    const ours = async () =>
      (await cluster.primary.query(senders)).filter(({ pid }) => replica.every((other) => other.pid !== pid));
    for (const ends of ['client', 'server'] as const) {
      using client = await connect(replication, database);
      const position = (await client.query('IDENTIFY_SYSTEM')).rows[0]?.[2];
      client.send(query(`START_REPLICATION PHYSICAL ${position}`));
      await until('it streams', async () => (await ours()).length === 1);
      if (ends === 'client') client.destroy();
      else {
        await cluster.primary.query(`SELECT pg_terminate_backend(${(await ours())[0]?.pid})`);
        await client.receiveUntilClosed();
      }
      await until('it has ended', async () => (await ours()).length === 0);
    }
  });
});
