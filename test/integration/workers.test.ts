import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../src/demo/ports.ts';
import { certificatePath } from '../support/certificates.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { PgweirProcess } from '../support/pgweir-process.ts';
import { clientMessage } from '../support/transcript.ts';
import { connectPg, ReadLoad, until, WHERE } from '../support/weather.ts';
import { WireClient } from '../support/wire-client.ts';

/** `workers: 2`, as an operator has it: a supervisor, two processes that serve, real signals. */
let cluster: Cluster;

beforeAll(async () => {
  cluster = await startCluster({ replicas: 2 });
  await cluster.primary.query('CREATE TABLE items (id int PRIMARY KEY, n int NOT NULL)');
  await cluster.primary.query('INSERT INTO items SELECT id, 0 FROM generate_series(1, 50) AS id');
  await cluster.waitForReplay();
});

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

function start(yaml = ''): Promise<PgweirProcess> {
  return PgweirProcess.start(cluster, `workers: 2\n${yaml}`);
}

function connect({ host, port }: PgweirProcess): Promise<WireClient> {
  return WireClient.connect({ host, port, database: 'postgres', timeoutMs: 20_000 });
}

/** Process ids of the workers that serve, by their number. */
function workers({ log }: PgweirProcess): Map<number, number> {
  return new Map(log.filter(({ event }) => event === 'worker_serves').map(({ worker, pid }) => [Number(worker), Number(pid)]));
}

/** The worker that serves a client, by the process id that the client was given. */
function workerOf(client: WireClient): number {
  return client.processId % 2;
}

/** So many clients of each of the two workers, among which new ones are divided by the room that they have. */
async function clientsOfBoth(pgweir: PgweirProcess, each: number): Promise<[WireClient[], WireClient[]]> {
  const clients = await Promise.all(Array.from({ length: 2 * each }, () => connect(pgweir)));
  const of = (worker: number) => clients.filter((client) => workerOf(client) === worker);
  expect([of(0).length, of(1).length]).toEqual([each, each]);
  return [of(0), of(1)];
}

/** A page of metrics: the sum over all series of this name whose labels contain the given ones. */
async function metric(httpPort: number, name: string, ...labels: string[]): Promise<number> {
  const page = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
  return page
    .split('\n')
    .filter((line) => new RegExp(`^${name}[{ ]`).test(line) && labels.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

/** Waits until no client is left; the lines of the page of metrics that say otherwise, if that takes too long. */
async function clientsLeft(httpPort: number): Promise<string[]> {
  let left: string[] = [];
  const look = async () => {
    const page = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
    left = page.split('\n').filter((line) => line.startsWith('pgweir_clients{') && !line.endsWith(' 0'));
    return left.length === 0;
  };
  await until('nobody is left', look, 20_000).catch(() => undefined);
  return left;
}

async function startWithHttp(yaml = ''): Promise<{ pgweir: PgweirProcess; httpPort: number }> {
  const httpPort = await freePort('127.0.0.1');
  return { pgweir: await start(`http: "127.0.0.1:${httpPort}"\n${yaml}`), httpPort };
}

describe('two workers', () => {
  test('share the clients, split reads, and show each session its own writes at once', async () => {
    const { pgweir: started, httpPort } = await startWithHttp();
    await using pgweir = started;
    // Half a second is less than lies between the starts of supervisor and workers: a time of one taken for a time of the
    // other would take this replica for fresh.
    const [, lagging] = cluster.replicas;
    await lagging?.set('recovery_min_apply_delay', '500ms');
    const sessions = await Promise.all(Array.from({ length: 40 }, () => connectPg(pgweir.port)));
    const reads = new Map<number, number>();
    const missed: string[] = [];
    await Promise.all(
      sessions.map(async (client, index) => {
        for (let pair = 0; pair < 100; pair++) {
          const written = await client.query('UPDATE items SET n = n + 1 WHERE id = $1 RETURNING n', [index + 1]);
          const { n, port } = (await client.query(`SELECT n, (${WHERE}) AS port FROM items WHERE id = $1`, [index + 1])).rows[0];
          reads.set(port, (reads.get(port) ?? 0) + 1);
          if (n !== written.rows[0].n) missed.push(`session ${index} wrote ${written.rows[0].n} and read ${n} on port ${port}`);
        }
      }),
    );
    expect(missed).toEqual([]);
    const onReplicas = cluster.replicas.reduce((sum, { port }) => sum + (reads.get(port) ?? 0), 0);
    console.log(`${onReplicas} of 4000 reads of own writes were served by replicas`);
    expect(onReplicas).toBeGreaterThan(400);

    // A replica may have cancelled one for what it replays.
    const retries = await metric(httpPort, 'pgweir_retries_total');
    expect((await metric(httpPort, 'pgweir_routed_total')) - retries).toBe(8_000);
    expect(await metric(httpPort, 'pgweir_query_seconds_count')).toBe(8_000);
    expect(await metric(httpPort, 'pgweir_logins_total')).toBe(40);
    expect(await metric(httpPort, 'pgweir_clients', 'state="idle"')).toBe(40);
    expect(await metric(httpPort, 'pgweir_clients_limit')).toBe(10_000);
    expect(await metric(httpPort, 'pgweir_backend_up')).toBe(3);
    expect(await metric(httpPort, 'pgweir_backend_connections_limit')).toBe(150);
    expect(await metric(httpPort, 'pgweir_workers')).toBe(2);
    expect((await fetch(`http://127.0.0.1:${httpPort}/readyz`)).status).toBe(200);
    expect((await fetch(`http://127.0.0.1:${httpPort}/healthz`)).status).toBe(200);
    expect(await (await fetch(`http://127.0.0.1:${httpPort}/`)).text()).toContain('40 idle');
    await Promise.all(sessions.map((client) => client.end()));
    await lagging?.set('recovery_min_apply_delay', '0');
    await cluster.waitForReplay();
  });

  test('show a client what its host wrote a moment before through the other one', async () => {
    await using pgweir = await start();
    const ofWorkers = new Set<number>();
    for (let round = 0; round < 30; round++) {
      using writer = await connect(pgweir);
      const { rows } = await writer.query('UPDATE items SET n = n + 1 WHERE id = 50 RETURNING n');
      using reader = await connect(pgweir);
      ofWorkers.add(workerOf(writer)).add(workerOf(reader));
      expect((await reader.query('SELECT n FROM items WHERE id = 50')).rows).toEqual(rows);
    }
    expect(ofWorkers.size).toBe(2);
  });

  test('learn from each other that DDL has passed', async () => {
    await using pgweir = await start();
    const [[writer], [reader]] = (await clientsOfBoth(pgweir, 1)) as [[WireClient], [WireClient]];
    await writer.query('CREATE FUNCTION told() RETURNS int LANGUAGE sql STABLE AS $$ SELECT current_setting($a$port$a$)::int $$');
    const port = async (client: WireClient) => Number((await client.query('SELECT told()')).rows[0]?.[0]);
    await until('both know the function', async () => {
      const ports = [await port(writer), await port(reader)];
      return ports.every((asked) => asked !== cluster.primary.port);
    });
    await writer.query('ALTER FUNCTION told() VOLATILE');
    // The other one looks at a catalog by itself only every 30 seconds.
    await until('the other one knows', async () => (await port(reader)) === cluster.primary.port, 15_000);
    await writer.query('DROP FUNCTION told()');
    for (const client of [writer, reader]) client[Symbol.dispose]();
  });

  test('hand a cancel request on to the one that it is for', async () => {
    const { pgweir: started, httpPort } = await startWithHttp();
    await using pgweir = started;
    const [first, second] = await clientsOfBoth(pgweir, 4);
    for (const client of [...first, ...second]) {
      client.send(clientMessage('Query', 'SELECT pg_sleep(60)'));
      await until('it runs', async () => {
        const sql = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(60)'";
        return (await Promise.all(cluster.nodes.map((node) => node.query(sql)))).some((rows) => rows.length > 0);
      });
      // Each of these connections goes to whoever is next: half of them to the wrong one, at least.
      await client.cancel();
      const messages = await client.receiveUntilReady();
      expect(messages.map(({ args }) => args[0])).toContainEqual(expect.objectContaining({ C: '57014' }));
      expect((await client.query('SELECT 1')).rows).toEqual([['1']]);
    }
    const passedOn = await metric(httpPort, 'pgweir_cancels_total', 'outcome="passed on"');
    console.log(`${passedOn} of 8 cancel requests came to the other worker`);
    expect(passedOn).toBeGreaterThan(0);
    expect(await metric(httpPort, 'pgweir_cancels_total', 'outcome="sent"')).toBe(8);
    for (const client of [...first, ...second]) client[Symbol.dispose]();
  });
});

test('clients reach a worker as they came: with TLS, with words before their turn, and with one half closed', async () => {
  const tls = `tls: { cert_file: "${certificatePath('server.pem')}", key_file: "${certificatePath('server.key')}" }`;
  await using pgweir = await start(tls);
  for (let round = 0; round < 4; round++) {
    const secured = await connectPg(pgweir.port, { ssl: { rejectUnauthorized: false } });
    expect((await secured.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await secured.end();
    using half = await connect(pgweir);
    half.send(clientMessage('Query', 'SELECT 2 FROM pg_sleep(0.1)'));
    half.end();
    expect((await half.receiveUntilClosed()).map(({ args }) => args[0])).toContainEqual(['2']);
  }
});

test('while clients come and go and workers die, each is served or sent away, and no place is lost', async () => {
  const { pgweir: started, httpPort } = await startWithHttp('limits: { clients: 20 }');
  await using pgweir = started;
  let [served, lost] = [0, 0];
  let over = false;
  const hung: string[] = [];
  const comeAndGo = async (index: number) => {
    while (!over) {
      try {
        // One in four leaves before it is greeted.
        if (index % 4 === 0) {
          using client = await WireClient.open({ host: pgweir.host, port: pgweir.port });
          client.send(client.startupMessage());
          await new Promise((resolve) => setTimeout(resolve, index));
        } else {
          using client = await connect(pgweir);
          await client.query('SELECT 1');
          served++;
        }
      } catch (error) {
        lost++;
        if (String(error).includes(' ms')) hung.push(String(error));
      }
    }
  };
  const loops = Array.from({ length: 12 }, (_, index) => comeAndGo(index));
  for (const worker of [0, 1, 0]) {
    const enough = served + 40;
    await until('clients are served', () => served > enough);
    const pid = workers(pgweir).get(worker) ?? 0;
    process.kill(pid, 'SIGKILL');
    await until('another one serves', () => workers(pgweir).get(worker) !== pid);
  }
  over = true;
  await Promise.all(loops);
  console.log(`${served} clients came and went while three workers were killed; ${lost} of them were lost with one`);
  expect(hung).toEqual([]);
  expect(await clientsLeft(httpPort)).toEqual([]);
  const all = await Promise.all(Array.from({ length: 20 }, () => connect(pgweir)));
  expect(all.filter((client) => workerOf(client) === 0)).toHaveLength(10);
  for (const client of all) client[Symbol.dispose]();
});

describe('a worker that is killed', () => {
  test('takes its clients with it, and nobody else; another one takes its place', async () => {
    const { pgweir: started, httpPort } = await startWithHttp('limits: { clients: 20 }');
    await using pgweir = started;
    const [victims, others] = await clientsOfBoth(pgweir, 5);
    const failures: string[] = [];
    let over = false;
    let served = 0;
    const loads = others.map(async (client, index) => {
      for (; !over; served++) {
        const sql = served % 4 === 0 ? `UPDATE items SET n = n + 1 WHERE id = ${index + 1}` : 'SELECT 1';
        await client.query(sql).catch((error: Error) => {
          failures.push(error.message);
          over = true;
        });
      }
    });
    const running = victims.map((client) => client.query('SELECT 1 FROM pg_sleep(60)').catch((error: Error) => error));
    await until('the load runs', () => served > 200);
    const before = workers(pgweir);
    const routed = await metric(httpPort, 'pgweir_routed_total');
    process.kill(before.get(0) ?? 0, 'SIGKILL');

    expect((await Promise.all(running)).every((outcome) => outcome instanceof Error)).toBe(true);
    await until('another one serves', () => workers(pgweir).get(0) !== before.get(0));
    const servedBefore = served;
    await until('the load goes on', () => served > servedBefore + 200 || over);
    over = true;
    await Promise.all(loads);
    expect(failures).toEqual([]);
    expect(workers(pgweir).get(1)).toBe(before.get(1));
    expect(pgweir.log.find(({ event }) => event === 'worker_lost')).toMatchObject({ worker: 0, signal: 'SIGKILL' });

    // There is room for as many as before, and the worker that has it gets them.
    const replacements = await Promise.all(victims.map(() => connect(pgweir)));
    expect(replacements.map(workerOf)).toEqual(victims.map(() => 0));
    await Promise.all(Array.from({ length: 10 }, () => connect(pgweir)));
    await expect(connect(pgweir)).rejects.toMatchObject({ sqlstate: '53300' });
    for (const client of replacements) expect((await client.query('SELECT 1')).rows).toEqual([['1']]);
    expect(await metric(httpPort, 'pgweir_workers')).toBe(2);
    expect(await metric(httpPort, 'pgweir_workers_lost_total')).toBe(1);
    expect(await metric(httpPort, 'pgweir_routed_total'), 'no counter goes back').toBeGreaterThan(routed);
    expect((await fetch(`http://127.0.0.1:${httpPort}/readyz`)).status).toBe(200);
  });

  test('and killed again and again is replaced each time, and not at once if it lived short', async () => {
    await using pgweir = await start();
    const delays = () => pgweir.log.filter(({ event }) => event === 'worker_lost').map(({ replaced_in_ms: ms }) => Number(ms));
    for (let death = 1; death <= 3; death++) {
      const pid = workers(pgweir).get(1) ?? 0;
      process.kill(pid, 'SIGKILL');
      await until('another one serves', () => workers(pgweir).get(1) !== pid);
    }
    // None after a long life, such as it may have on a machine that is busy.
    const allowed = [
      [0, 100],
      [0, 100, 200],
      [0, 100, 200, 400],
    ];
    expect(delays()).toHaveLength(3);
    for (const [death, delay] of delays().entries()) expect(allowed[death]).toContain(delay);
  });
});

describe('the supervisor', () => {
  test('on SIGTERM, has all workers finish their transactions, and ends with code 0', async () => {
    await using pgweir = await start('shutdown: { drain_timeout: 20s }');
    const [first, second] = await clientsOfBoth(pgweir, 2);
    const working = [first[0], second[0]].filter((client) => client !== undefined);
    const idle = [first[1], second[1]].filter((client) => client !== undefined);
    for (const [index, client] of working.entries()) {
      await client.query('BEGIN');
      await client.query(`INSERT INTO items VALUES (${100 + index}, 0)`);
    }
    pgweir.signal('SIGTERM');
    for (const client of idle) {
      const messages = await client.receiveUntilClosed();
      expect(messages.map(({ args }) => args[0])).toMatchObject([{ S: 'FATAL', C: '57P01' }]);
    }
    await expect(connect(pgweir)).rejects.toThrow();
    expect(pgweir.running).toBe(true);
    for (const client of working) {
      client.send(clientMessage('Query', 'COMMIT'));
      expect((await client.receiveUntilReady()).map(({ args }) => args[0])).toContain('COMMIT');
      await client.receiveUntilClosed();
    }
    expect(await pgweir.ended()).toBe(0);
    expect(pgweir.complaints).toEqual([]);
    for (const pid of workers(pgweir).values()) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    expect(await cluster.primary.query('SELECT id FROM items WHERE id >= 100 ORDER BY id')).toEqual([{ id: 100 }, { id: 101 }]);
  });

  test('killed, leaves no worker behind', async () => {
    await using pgweir = await start();
    const pids = [...workers(pgweir).values()];
    pgweir.signal('SIGKILL');
    await pgweir.ended();
    const alive = (pid: number) => {
      try {
        return process.kill(pid, 0);
      } catch {
        return false;
      }
    };
    await until('the workers have ended', () => !pids.some(alive));
  });

  test('on SIGHUP, has all workers take the new configuration, or none; no client notices', async () => {
    await using pgweir = await start('routing: { rules: [ { user: postgres, route: primary } ] }');
    const ports = async (clients: WireClient[]) => {
      const answers = await Promise.all(clients.map((client) => client.query(WHERE)));
      return new Set(answers.map(({ rows }) => Number(rows[0]?.[0])));
    };
    const onPrimary = new Set([cluster.primary.port]);
    const isReplica = (port: number) => port !== cluster.primary.port;
    const early = (await clientsOfBoth(pgweir, 2)).flat();
    expect(await ports(early)).toEqual(onPrimary);
    await early[0]?.query('BEGIN');

    pgweir.configure('workers: 2\nrouting: { ruels: [] }');
    pgweir.signal('SIGHUP');
    await until('refused', () => pgweir.logged('reload_refused'));
    const meanwhile = (await clientsOfBoth(pgweir, 2)).flat();
    expect(await ports(meanwhile)).toEqual(onPrimary);

    pgweir.configure('workers: 2\nlimits: { clients: 14 }');
    pgweir.signal('SIGHUP');
    await until('applied', () => pgweir.logged('reload_applied'));
    for (const late of await clientsOfBoth(pgweir, 3)) {
      await until('its worker reads from replicas', async () => [...(await ports(late))].some(isReplica));
    }
    await expect(connect(pgweir)).rejects.toMatchObject({ sqlstate: '53300' });
    expect((await early[0]?.query('COMMIT'))?.tags).toEqual(['COMMIT']);

    // A worker that takes the place of another begins with the configuration in force.
    const pid = workers(pgweir).get(0) ?? 0;
    process.kill(pid, 'SIGKILL');
    await until('another one serves', () => workers(pgweir).get(0) !== pid);
    using again = await connect(pgweir);
    expect(workerOf(again)).toBe(0);
    await until('it reads from replicas', async () => [...(await ports([again]))].some(isReplica));
  });
});

test('reads go on while replicas come and go, at all workers', async () => {
  await using pgweir = await start();
  const load = await ReadLoad.start(pgweir.port, 8);
  const [, replica] = cluster.replicas;
  await load.more(200);
  await replica?.kill();
  await load.more(500);
  await replica?.start();
  if (replica !== undefined) await load.servedBy(replica.port);
  await load.everySession();
  await load.stop();
  expect(load.failures).toEqual([]);
});
