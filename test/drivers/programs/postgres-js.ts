import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { FAILING, failing, idiom, NPGSQL_RESET, place, SHOWN, say, WHERE } from './stage.ts';

/** postgres.js with its defaults: everything with parameters is prepared and named, and queries are pipelined. */

async function onSql(
  show: (sql: postgres.Sql) => Promise<void>,
  options: postgres.Options<Record<string, never>> = {},
): Promise<void> {
  const sql = postgres({ onnotice: () => undefined, ...options });
  try {
    await show(sql);
  } finally {
    await sql.end();
  }
}

type Asked = postgres.Sql | postgres.TransactionSql | postgres.ReservedSql;

async function locate(sql: Asked, statement: string): Promise<void> {
  place((await sql.unsafe(WHERE))[0]?.port, statement);
}

const plain = (rows: readonly unknown[]) => [...rows];

await idiom('autocommit', () =>
  onSql(
    async (sql) => {
      for (let n = 0; n < 5; n++) await locate(sql, 'autocommit read');
      for (let n = 0; n < 5; n++) {
        const [row] = await sql`INSERT INTO note (body) VALUES (${`note ${n}`}) RETURNING id, current_setting('port') AS port`;
        place(row?.port, 'write');
        say(row?.id, plain(await sql`SELECT body FROM note WHERE id = ${row?.id}`));
      }
      say((await sql`UPDATE note SET body = 'changed' WHERE id > 2`).count, plain(await sql`SELECT * FROM note ORDER BY id`));
      await sql`INSERT INTO note ${sql([{ body: 'many 1' }, { body: 'many 2' }])}`;
      say((await sql`DELETE FROM note`).count, plain(await sql`SELECT count(*) FROM note`));
    },
    { max: 1 },
  ),
);

await idiom('transactions', () =>
  onSql(async (sql) => {
    for (const body of ['kept', 'gone']) {
      const done = sql.begin(async (tx) => {
        await locate(tx, 'read in a transaction');
        await tx`INSERT INTO note (body) VALUES (${body})`;
        say(plain(await tx`SELECT body FROM note WHERE body = ${body}`));
        if (body === 'gone') throw new Error('changed my mind');
      });
      await done.catch((error) => say(error.message));
    }
    say(plain(await sql`SELECT body FROM note WHERE body IN ('kept', 'gone')`));
    await sql.begin('isolation level serializable', async (tx) => say(plain(await tx`SHOW transaction_isolation`)));
    say((await sql.begin((tx) => [tx`SELECT 1 AS n`, tx`SELECT 2 AS n`])).map(plain));
  }),
);

await idiom('read-only transactions', () =>
  onSql(async (sql) => {
    for (const modes of ['read only', 'isolation level repeatable read read only']) {
      await sql.begin(modes, async (tx) => {
        await locate(tx, 'read in a read-only transaction');
        say(plain(await tx`SELECT name FROM tea WHERE id = ${7}`));
        place((await tx`SELECT current_setting('port') AS port, ${1}::int`)[0]?.port, 'read in a read-only transaction');
      });
    }
    await failing(sql.begin('read only', (tx) => tx`INSERT INTO note (body) VALUES ('no')`));
    say(plain(await sql`SELECT count(*) FROM tea`));
  }),
);

await idiom('savepoints', () =>
  onSql(async (sql) => {
    await sql.begin(async (tx) => {
      await tx`INSERT INTO note (body) VALUES ('a')`;
      await failing(tx.savepoint((inner) => inner`INSERT INTO note (body) VALUES (${null})`));
      await tx.savepoint('named', (inner) => inner`INSERT INTO note (body) VALUES ('b')`);
    });
    say(plain(await sql`SELECT body FROM note WHERE body IN ('a', 'b') ORDER BY 1`));
  }),
);

await idiom('prepared statements', () =>
  onSql(
    async (sql) => {
      for (let n = 0; n < 12; n++)
        place((await sql`SELECT current_setting('port') AS port, ${n}::int AS n`)[0]?.port, 'prepared read');
      const tea = (on: Asked, id: number) => on`SELECT name FROM tea WHERE id = ${id}`;
      for (let n = 1; n < 6; n++) {
        await sql.begin(async (tx) =>
          say(plain(await tea(tx, n)), plain(await tx`INSERT INTO note (body) VALUES (${n}) RETURNING body`)),
        );
        await sql.begin('read only', async (tx) => say(plain(await tea(tx, n))));
        say(plain(await tea(sql, n)), plain(await sql`INSERT INTO note (body) VALUES (${n}) RETURNING body`));
      }
      say((await sql`SELECT * FROM tea WHERE id = ${1}`.describe()).columns.map(({ name }) => name));
      await failing(sql`SELECT 1/${0}::int AS n`);
      say(plain(await sql`SELECT 1/${1}::int AS n`), plain(await tea(sql, 9)));
    },
    { max: 1 },
  ),
);

await idiom('copy', () =>
  onSql(async (sql) => {
    const into = await sql`COPY note (body) FROM STDIN`.writable();
    for (let n = 0; n < 20000; n++) into.write(`copied ${n} \\\\ \\t\n`);
    await new Promise<void>((resolve, reject) => into.on('error', reject).end(resolve));
    while ((await sql`SELECT count(*)::int AS n FROM note`)[0]?.n < 20000) await sleep(10);
    const out = await text(await sql`COPY (SELECT body FROM note WHERE body LIKE 'copied%' ORDER BY id) TO STDOUT`.readable());
    say(out.length, out.slice(-60));
    say(
      (await text(await sql`COPY tea TO STDOUT (FORMAT csv, HEADER)`.readable())).slice(0, 60),
      plain(await sql`SELECT count(*) FROM tea`),
    );
  }),
);

await idiom('listen', () =>
  onSql(async (sql) => {
    const heard: string[] = [];
    const { unlisten } = await sql.listen('kettle', (payload) => heard.push(payload));
    for (let n = 0; n < 3; n++) await sql.notify('kettle', `boils ${n}`);
    while (heard.length < 3) await sleep(10);
    await unlisten();
    await sql.notify('kettle', 'nobody hears');
    say(heard, plain(await sql`SELECT count(*) FROM tea`));
  }),
);

await idiom('cancel', () =>
  onSql(
    async (sql) => {
      for (let n = 0; n < 2; n++) {
        const query = n === 0 ? sql`SELECT pg_sleep(60)` : sql`INSERT INTO note (body) SELECT 'cancelled' FROM pg_sleep(60)`;
        const ended = failing(query.execute());
        await sleep(500);
        query.cancel();
        await ended;
        say(plain(await sql`SELECT count(*) FROM tea`), plain(await sql`SELECT count(*) FROM note WHERE body = 'cancelled'`));
      }
    },
    { max: 1 },
  ),
);

await idiom('types', () =>
  onSql(async (sql) => {
    for (const row of await sql`SELECT * FROM specimen ORDER BY id`)
      for (const [name, value] of Object.entries(row)) say(name, value);
    for (const row of await sql`SELECT id, yes, i4, i8, dec, t, raw, u, m, net, ts, tz FROM specimen ORDER BY id`) {
      await sql`INSERT INTO returned ${sql(row)}`;
    }
    say(plain(await sql`SELECT id, yes, i4, i8, dec, t, raw, u, m, net FROM returned ORDER BY id`));
    say(plain(await sql`SELECT ${sql.json({ a: 1 })}::jsonb AS j, ${sql.array([1, 2])}::int[] AS a, ${'x'}::text AS t`));
  }),
);

await idiom('cursors', () =>
  onSql(async (sql) => {
    let total = 0;
    for await (const rows of sql`SELECT n FROM generate_series(1, ${1000}::int) n`.cursor(100)) total += rows.length;
    say(total);
    await sql`SELECT id FROM tea ORDER BY id`.cursor(10, (rows) => (rows[0]?.id > 20 ? sql.CLOSE : undefined));
    let seen = 0;
    await sql`SELECT id FROM tea`.forEach(() => void seen++);
    say(seen, plain(await sql`SELECT count(*) FROM tea`));
  }),
);

await idiom('pool return', () =>
  onSql(
    async (sql) => {
      const reserved = await sql.reserve();
      await reserved`SET application_name = 'dirty'`;
      await reserved`CREATE TEMP TABLE dirt (n int)`;
      await reserved`SELECT pg_advisory_lock(7)`;
      reserved.release();
      say(plain(await sql`SHOW application_name`), plain(await sql`SELECT count(*) FROM dirt`));
      await sql.unsafe('DISCARD ALL');
      say(
        plain(await sql.unsafe('SHOW application_name')),
        plain(await sql.unsafe("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")),
      );
      await failing(sql.unsafe('SELECT count(*) FROM dirt'));
      for (const statement of NPGSQL_RESET) await sql.unsafe(statement);
      await sql.unsafe(NPGSQL_RESET.join('; '));
      await locate(sql, 'autocommit read');
    },
    { max: 1 },
  ),
);

await idiom('options', async () => {
  const options: postgres.Options<Record<string, never>>[] = [
    {},
    { connection: { application_name: 'tea shop', search_path: 'pg_catalog', statement_timeout: 12345 } },
    { connection: { options: '-c work_mem=3MB -c application_name=with\\ space' } as Record<string, string> },
    { target_session_attrs: 'read-write' },
    { target_session_attrs: 'primary' },
    { prepare: false, fetch_types: false },
    { ssl: 'prefer' },
  ];
  for (const option of options) {
    await onSql(
      async (sql) => {
        for (const name of SHOWN) say(name, plain(await sql.unsafe(`SHOW ${name}`)));
        say(plain(await sql`SELECT ${1}::int AS n`));
      },
      { ...option, max: 1 },
    );
  }
});

await idiom('pipelining', () =>
  onSql(
    async (sql) => {
      const asked = Array.from({ length: 100 }, (_, n) => sql`SELECT current_setting('port') AS port, ${n}::int AS n`);
      for (const [n, rows] of (await Promise.all(asked)).entries()) {
        say(rows[0]?.n === n);
        place(rows[0]?.port, 'pipelined read');
      }
      const mixed = [
        sql`SELECT 1/${0}::int`,
        sql`INSERT INTO note (body) VALUES ('queued') RETURNING body`,
        sql`SELECT nosuch`,
        sql`SELECT 2 AS n`,
      ];
      for (const { status } of await Promise.allSettled(mixed)) say(status);
      say(plain(await sql`SELECT count(*) FROM note WHERE body = 'queued'`));
    },
    { max: 1 },
  ),
);

await idiom('errors', () =>
  onSql(
    async (sql) => {
      for (const statement of FAILING) {
        await failing(sql.unsafe(statement));
        await failing(sql.unsafe(statement, [], { prepare: true }));
        say(plain(await sql`SELECT count(*) FROM tea WHERE id = 1000`));
      }
      say((await sql`SELECT 1 AS n; SELECT 2 AS n`.simple()).map((rows) => plain(rows as unknown as unknown[])));
    },
    { max: 1 },
  ),
);

await idiom('changed tables', () =>
  onSql(
    async (sql) => {
      for (const statement of ['SELECT 1', 'ALTER TABLE tea ADD COLUMN extra int', 'ALTER TABLE tea DROP COLUMN extra']) {
        await sql.unsafe(statement);
        for (const n of [1, 2]) await failing(sql`SELECT * FROM tea WHERE id = ${n}`.then(plain));
      }
    },
    { max: 1 },
  ),
);
