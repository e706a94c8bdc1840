import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { FAILING, failing, idiom, NPGSQL_RESET, place, SHOWN, say, WHERE } from './stage.ts';

/** node-postgres with its defaults: simple queries, extended ones for parameters, named ones when they are given a name. */

async function onClient(show: (client: pg.Client) => Promise<void>, config: pg.ClientConfig = {}): Promise<void> {
  const client = new pg.Client(config);
  await client.connect();
  try {
    await show(client);
  } finally {
    await client.end();
  }
}

type Asked = pg.Client | pg.Pool | pg.PoolClient;

async function rows(client: Asked, text: string, values?: unknown[]): Promise<unknown[]> {
  return (await client.query({ text, rowMode: 'array', ...(values === undefined ? {} : { values }) })).rows;
}

async function locate(client: Asked, statement: string): Promise<void> {
  place((await client.query(WHERE)).rows[0].port, statement);
}

await idiom('autocommit', () =>
  onClient(async (client) => {
    for (let n = 0; n < 5; n++) await locate(client, 'autocommit read');
    for (let n = 0; n < 5; n++) place((await client.query(`${WHERE}, $1::int AS n`, [n])).rows[0].port, 'autocommit read');
    for (let n = 0; n < 5; n++) {
      const { rows: inserted } = await client.query(
        "INSERT INTO note (body) VALUES ($1) RETURNING id, current_setting('port') AS port",
        [`note ${n}`],
      );
      place(inserted[0].port, 'write');
      say(inserted[0].id, await rows(client, 'SELECT body FROM note WHERE id = $1', [inserted[0].id]));
    }
    const { command, rowCount } = await client.query("UPDATE note SET body = 'changed' WHERE id > 2");
    say(command, rowCount, await rows(client, 'SELECT * FROM note ORDER BY id'));
    say((await client.query('DELETE FROM note')).rowCount, await rows(client, 'SELECT count(*) FROM note'));
  }),
);

await idiom('transactions', () =>
  onClient(async (client) => {
    for (const end of ['COMMIT', 'ROLLBACK', 'COMMIT']) {
      await client.query('BEGIN');
      await locate(client, 'read in a transaction');
      await client.query('INSERT INTO note (body) VALUES ($1)', [end]);
      say(await rows(client, 'SELECT body FROM note WHERE body = $1', [end]));
      say((await client.query(end)).command, await rows(client, 'SELECT count(*) FROM note'));
    }
    for (const level of ['SERIALIZABLE', 'REPEATABLE READ']) {
      await client.query(`BEGIN ISOLATION LEVEL ${level}`);
      say(await rows(client, 'SHOW transaction_isolation'), await rows(client, 'SELECT count(*) FROM tea'));
      await client.query('COMMIT');
    }
  }),
);

await idiom('read-only transactions', () =>
  onClient(async (client) => {
    for (const begin of [
      'BEGIN READ ONLY',
      'START TRANSACTION READ ONLY',
      'BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY',
    ]) {
      await client.query(begin);
      await locate(client, 'read in a read-only transaction');
      say(await rows(client, 'SELECT name FROM tea WHERE id = $1', [7]));
      await client.query('COMMIT');
    }
    await client.query('BEGIN');
    await client.query('SET TRANSACTION READ ONLY');
    await locate(client, 'read in a read-only transaction');
    await failing(client.query("INSERT INTO note (body) VALUES ('no')"));
    await client.query('ROLLBACK');
    await client.query('SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY');
    await locate(client, 'read in a read-only session');
    await failing(client.query("INSERT INTO note (body) VALUES ('no')"));
  }),
);

await idiom('savepoints', () =>
  onClient(async (client) => {
    await client.query('BEGIN');
    await client.query("INSERT INTO note (body) VALUES ('a')");
    await client.query('SAVEPOINT one');
    await failing(client.query('INSERT INTO note (body) VALUES ($1)', [null]));
    await failing(client.query('SELECT 1'));
    await client.query('ROLLBACK TO one');
    await client.query("INSERT INTO note (body) VALUES ('b')");
    await client.query('RELEASE one');
    await client.query('COMMIT');
    say(await rows(client, "SELECT body FROM note WHERE body IN ('a', 'b') ORDER BY 1"));
  }),
);

await idiom('prepared statements', () =>
  onClient(async (client) => {
    const where = (n: number) => client.query({ name: 'where', text: `${WHERE}, $1::int AS n`, values: [n] });
    const add = (body: string) =>
      client.query({ name: 'add', text: 'INSERT INTO note (body) VALUES ($1) RETURNING body', values: [body] });
    for (let n = 0; n < 12; n++) place((await where(n)).rows[0].port, 'prepared read');
    for (let n = 0; n < 5; n++) {
      await client.query('BEGIN');
      say((await where(n)).rows[0].n, (await add(`prepared ${n}`)).rows, (await where(n)).rows[0].n);
      await client.query(n % 2 === 0 ? 'COMMIT' : 'ROLLBACK');
      await client.query('BEGIN READ ONLY');
      place((await where(n)).rows[0].port, 'read in a read-only transaction');
      await client.query('COMMIT');
      say((await add(`alone ${n}`)).rows);
    }
    await failing(client.query({ name: 'bad', text: 'SELECT 1/$1::int', values: [0] }));
    say(await client.query({ name: 'bad', text: 'SELECT 6/$1::int AS n', values: [3] }).catch((error) => [error.message]));
    for (let n = 0; n < 60; n++)
      say((await client.query({ name: `many${n}`, text: `SELECT ${n} + $1::int AS n`, values: [n] })).rows);
    say((await where(1)).rows[0].n);
  }),
);

await idiom('listen', () =>
  onClient(async (listener) => {
    const heard: unknown[] = [];
    listener.on('notification', ({ channel, payload }) => heard.push([channel, payload]));
    await listener.query('LISTEN kettle');
    await onClient(async (talker) => {
      for (let n = 0; n < 3; n++) await talker.query("SELECT pg_notify('kettle', $1)", [`boils ${n}`]);
      await talker.query('BEGIN');
      await talker.query("NOTIFY kettle, 'rolled back'");
      await talker.query('ROLLBACK');
    });
    while (heard.length < 3) await sleep(10);
    await listener.query("NOTIFY kettle, 'own'");
    await listener.query('UNLISTEN kettle');
    say(heard, await rows(listener, 'SELECT count(*) FROM tea'));
  }),
);

await idiom('cancel', async () => {
  for (const text of ['SELECT pg_sleep(60)', "INSERT INTO note (body) SELECT 'cancelled' FROM pg_sleep(60)"]) {
    await onClient(async (client) => {
      const canceller = new pg.Client() as pg.Client & { cancel(client: pg.Client, query: unknown): void };
      const query = new pg.Query(text);
      const ended = new Promise((_resolve, reject) => query.on('error', reject));
      client.query(query);
      await sleep(500);
      canceller.cancel(client, query);
      await failing(ended);
      say(
        await rows(client, 'SELECT count(*) FROM tea'),
        await rows(client, "SELECT count(*) FROM note WHERE body = 'cancelled'"),
      );
    });
  }
  await onClient((client) => failing(client.query('SELECT pg_sleep(60)')), { statement_timeout: 300 });
});

await idiom('types', () =>
  onClient(async (client) => {
    for (const binary of [false, true]) {
      const query = { text: 'SELECT * FROM specimen ORDER BY id', values: [], rowMode: 'array', binary };
      for (const row of (await client.query(query)).rows) for (const value of row as unknown as unknown[]) say(value);
    }
    const columns = 'id, yes, i2, i4, i8, dec, f4, f8, t, v, c, raw, d, ti, ts, tz, u, j, jb, ai, at, m, p, net, r, b, o';
    const marks = columns.split(', ').map((_name, index) => `$${index + 1}`);
    for (const row of (await rows(client, `SELECT ${columns} FROM specimen ORDER BY id`)) as unknown[][]) {
      await client.query(`INSERT INTO returned (${columns}) VALUES (${marks})`, row);
    }
    say(await rows(client, 'SELECT id, i8, dec, t, raw, ai, at, p, net, r FROM returned ORDER BY id'));
  }),
);

await idiom('pool return', async () => {
  const pool = new pg.Pool({ max: 1 });
  const client = await pool.connect();
  await client.query("SET application_name = 'dirty'");
  await client.query('CREATE TEMP TABLE dirt (n int)');
  await client.query('SELECT pg_advisory_lock(7)');
  await client.query('LISTEN dirt');
  client.release();
  say(await rows(pool, 'SHOW application_name'), await rows(pool, 'SELECT count(*) FROM dirt'));
  await pool.query('DISCARD ALL');
  say(await rows(pool, 'SHOW application_name'), await rows(pool, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"));
  await failing(pool.query('SELECT count(*) FROM dirt'));
  await locate(pool, 'autocommit read');
  await pool.query("SET work_mem = '1MB'");
  for (const text of NPGSQL_RESET) await pool.query(text);
  say(await rows(pool, 'SHOW work_mem'));
  await pool.query(NPGSQL_RESET.join('; '));
  await locate(pool, 'autocommit read');
  await pool.end();
  const wide = new pg.Pool({ max: 5 });
  const asked = Array.from({ length: 100 }, async (_, n) => (await wide.query('SELECT $1::int AS n', [n])).rows[0].n === n);
  say((await Promise.all(asked)).every(Boolean));
  await wide.end();
});

await idiom('options', async () => {
  const configs: pg.ClientConfig[] = [
    {},
    { application_name: 'tea shop', statement_timeout: 12345, lock_timeout: 500, idle_in_transaction_session_timeout: 60000 },
    { options: '-c search_path=pg_catalog -c work_mem=3MB' },
    { options: '-c application_name=with\\ space', fallback_application_name: 'fallback' },
    { keepAlive: true, query_timeout: 60000 },
  ];
  for (const config of configs) {
    await onClient(async (client) => {
      for (const name of SHOWN) say(name, await rows(client, `SHOW ${name}`));
      await client.query('RESET ALL');
      for (const name of SHOWN) say(name, await rows(client, `SHOW ${name}`));
    }, config);
  }
  for (const config of [{ options: '-c nosuch=1' }, { database: 'nosuch' }, { ssl: true }])
    await failing(onClient(async () => {}, config));
});

await idiom('pipelining', () =>
  onClient(async (client) => {
    const asked = Array.from({ length: 50 }, (_, n) => client.query(`${WHERE}, $1::int AS n`, [n]));
    for (const [n, { rows: found }] of (await Promise.all(asked)).entries()) {
      say(found[0].n === n);
      place(found[0].port, 'pipelined read');
    }
    const mixed = ['BEGIN', "INSERT INTO note (body) VALUES ('queued')", 'SELECT 1/0', 'SELECT 1', 'ROLLBACK', 'SELECT 2'];
    for (const { status } of await Promise.allSettled(mixed.map((text) => client.query(text)))) say(status);
  }),
);

await idiom('errors', () =>
  onClient(async (client) => {
    const notices: unknown[] = [];
    client.on('notice', ({ severity, message }) => notices.push([severity, message]));
    for (const text of FAILING) {
      await failing(client.query(text));
      await failing(client.query({ text, values: [] }));
      say(await rows(client, 'SELECT count(*) FROM tea WHERE id = 1000'));
    }
    await client.query("DO $$ BEGIN RAISE NOTICE 'boiling'; RAISE WARNING 'boils'; END $$");
    say(notices);
    const several = (await client.query('SELECT 1 AS n; SELECT 2 AS n')) as unknown as pg.QueryResult[];
    say(
      several.map(({ rows: found }) => found),
      (await client.query('')).rows,
    );
    await failing(client.query("INSERT INTO note (body) VALUES ('undone'); SELECT 1/0"));
    say(await rows(client, "SELECT count(*) FROM note WHERE body = 'undone'"));
  }),
);

await idiom('changed tables', () =>
  onClient(async (client) => {
    for (const text of ['SELECT 1', 'ALTER TABLE tea ADD COLUMN extra int', 'ALTER TABLE tea DROP COLUMN extra']) {
      await client.query(text);
      for (const n of [1, 2]) {
        const query = { text: 'SELECT * FROM tea WHERE id = $1', values: [n] };
        const named = client.query({ ...query, name: 'all' });
        const { rows: found } = await named.catch((error) =>
          error.code === '0A000' ? client.query(query) : Promise.reject(error),
        );
        say(found);
      }
    }
  }),
);
