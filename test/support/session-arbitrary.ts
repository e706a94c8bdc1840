import fc from 'fast-check';
import {
  bind,
  type Conversation,
  closeStatement,
  conversation,
  describePortal,
  execute,
  parse,
  queries,
  query,
  ready,
  run,
  type Startup,
  startingWith,
  sync,
} from './conversation.ts';

/** Sessions that use everything a session may keep. Each has a number: its objects, locks and channels are its own. */
const SESSIONS = 5;

const numbers = Array.from({ length: SESSIONS }, (_, index) => index);

export const SESSION_SCHEMA = `
  CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE carol SUPERUSER;
  ALTER ROLE alice SET work_mem = '6MB';
  ALTER ROLE bob SET search_path = aside, public;
  ALTER ROLE carol SET "DateStyle" = 'SQL, DMY';
  ALTER ROLE carol SET app.tag = 'of carol';
  ALTER ROLE carol IN DATABASE postgres SET work_mem = '7MB';
  ALTER DATABASE postgres SET lock_timeout = '50s';
  CREATE SCHEMA aside; CREATE SCHEMA deeds; GRANT USAGE ON SCHEMA aside, deeds TO PUBLIC;
  CREATE FUNCTION deeds.keeps(name text, value text) RETURNS text LANGUAGE plpgsql
    AS $$ BEGIN PERFORM set_config(name, value, false); RETURN current_setting(name); END $$;
  CREATE FUNCTION deeds.makes_up(name text, value text) RETURNS text LANGUAGE plpgsql
    AS $$ BEGIN RETURN set_config('app.' || name, value, false); END $$;
  CREATE FUNCTION deeds.keeps_and_fails(name text, value text) RETURNS text LANGUAGE plpgsql
    AS $$ BEGIN PERFORM set_config(name, value, false); RAISE EXCEPTION 'after %', current_setting(name); END $$;
  CREATE FUNCTION deeds.keeps_not(name text, value text) RETURNS text LANGUAGE plpgsql
    AS $$ BEGIN PERFORM set_config(name, value, true); RETURN current_setting(name); END $$;
  CREATE FUNCTION deeds.goes_back(value text) RETURNS text LANGUAGE plpgsql SET work_mem = '1MB'
    AS $$ BEGIN PERFORM set_config('work_mem', value, false); RETURN current_setting('work_mem'); END $$;
  CREATE FUNCTION deeds.takes_back(value text) RETURNS text LANGUAGE plpgsql
    AS $$ BEGIN SET work_mem = '3MB'; PERFORM 1/0; EXCEPTION WHEN OTHERS THEN RETURN current_setting('work_mem'); END $$;
  CREATE FUNCTION deeds.makes_temp() RETURNS void LANGUAGE plpgsql
    AS $$ BEGIN CREATE TEMP TABLE IF NOT EXISTS inside (n int); INSERT INTO inside VALUES (1); END $$;
  ${numbers
    .map(
      (n) => `
  CREATE TABLE own_${n} (id int PRIMARY KEY, name text);
  CREATE TABLE aside.own_${n} (id int PRIMARY KEY, name text);
  CREATE SEQUENCE ids_${n};
  CREATE PROCEDURE deeds.commits_${n}() LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO own_${n} VALUES (50, 'first'); COMMIT; SET work_mem = '2MB'; DELETE FROM own_${n} WHERE id = 50; ROLLBACK; END $$;`,
    )
    .join('')}
  GRANT ALL ON ALL TABLES IN SCHEMA public, aside TO PUBLIC;
  GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC;
`;

/** What all scenes begin with. */
export const SESSION_ROWS = `
  SELECT lo_unlink(oid) FROM pg_largeobject_metadata;
  ${numbers
    .map(
      (n) => `TRUNCATE own_${n}; INSERT INTO own_${n} VALUES (1, 'one');
      TRUNCATE aside.own_${n}; INSERT INTO aside.own_${n} VALUES (9, 'aside'); SELECT setval('ids_${n}', 1, false);`,
    )
    .join('\n')}
`;

const LOOKED_AT = [
  'work_mem',
  'search_path',
  'TimeZone',
  'DateStyle',
  'application_name',
  'statement_timeout',
  'lock_timeout',
  'default_transaction_isolation',
  'default_transaction_deferrable',
  'client_encoding',
  'client_min_messages',
  'role',
];

/** What the session is like. A setting of an extension that is reset reads as null or as empty, by chance. */
const LOOK = `SELECT current_user, session_user, ${LOOKED_AT.map((name) => `current_setting('${name}')`).join(', ')},
  nullif(current_setting('app.tag', true), ''), nullif(current_setting('app.other', true), '')`;

const SETTINGS = [
  ...['5MB', '6MB'].flatMap((value) => [
    `SET work_mem = '${value}'`,
    `SET LOCAL work_mem = '${value}'`,
    `SELECT set_config('work_mem', '${value}', false)`,
    `SELECT set_config('work_mem', '${value}', true)`,
    `SELECT set_config('work' || '_mem', '${value}', false)`,
    `SELECT deeds.keeps('work_mem', '${value}')`,
    `SET app.tag = '${value}'`,
    `SELECT deeds.goes_back('${value}')`,
    `DO $$ BEGIN SET work_mem = '${value}'; END $$`,
  ]),
  'RESET work_mem',
  'SET work_mem TO DEFAULT',
  'SET LOCAL work_mem TO DEFAULT',
  "SET work_mem = 'nonsense'",
  'SET app.tag TO DEFAULT',
  'RESET app.tag',
  "SET LOCAL app.tag = 'local'",
  "SET app.other = 'it''s \\ \"quoted\"'",
  "SELECT deeds.keeps_not('app.tag', 'passing')",
  "SELECT deeds.keeps_and_fails('work_mem', '4MB')",
  "SELECT deeds.takes_back('4MB')",
  "SELECT deeds.keeps('search_path', 'aside, public')",
  "SELECT deeds.keeps('role', 'alice')",
  "SELECT deeds.keeps('app.tag', 'kept')",
  "SELECT deeds.makes_up('other', 'made up')",
  "DO $$ BEGIN PERFORM deeds.makes_up('ot' || 'her', 'by code'); END $$",
  "SELECT deeds.keeps('application_name', 'inside')",
  "DO $$ BEGIN SET work_mem = '8MB'; RAISE EXCEPTION 'no'; END $$",
  "DO $$ BEGIN SET work_mem = '9MB'; COMMIT; SET work_mem = '10MB'; ROLLBACK; END $$",
  'RESET ALL',
  'RESET ALL',
  "SET application_name = 'x'",
  "SET LOCAL application_name = 'y'",
  'RESET application_name',
  "SET TIME ZONE 'Asia/Tokyo'",
  "SET LOCAL TIME ZONE 'Europe/Vienna'",
  'SET TIME ZONE LOCAL',
  "SET DateStyle = 'German'",
  "SET LOCAL DateStyle = 'ISO'",
  'RESET DateStyle',
  'SET client_encoding = LATIN1',
  'SET NAMES UTF8',
  'RESET client_encoding',
  'SET search_path = aside, public',
  "SELECT set_config('search_path', 'aside', true)",
  'SET search_path TO DEFAULT',
  "SET statement_timeout = '1h'",
  "SET LOCAL statement_timeout = '2h'",
  'SET client_min_messages = error',
  'RESET client_min_messages',
  'SHOW work_mem',
  'SHOW search_path',
  "SELECT '2026-02-01'::date, '2026-02-01 12:00:00+00'::timestamptz",
];

const IDENTITY = [
  'SET ROLE alice',
  'SET LOCAL ROLE bob',
  'SET ROLE none',
  'SET ROLE nobody',
  'RESET ROLE',
  'SET SESSION AUTHORIZATION bob',
  'SET LOCAL SESSION AUTHORIZATION alice',
  'RESET SESSION AUTHORIZATION',
  'SET SESSION AUTHORIZATION DEFAULT',
];

const TRANSACTIONS = [
  'BEGIN',
  'BEGIN',
  'BEGIN',
  'BEGIN ISOLATION LEVEL REPEATABLE READ',
  'COMMIT',
  'COMMIT',
  'COMMIT',
  'ROLLBACK',
  'ROLLBACK',
  'COMMIT AND CHAIN',
  'ROLLBACK AND CHAIN',
  'SAVEPOINT s',
  'SAVEPOINT s',
  'ROLLBACK TO s',
  'ROLLBACK TO s',
  'RELEASE s',
  'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE',
  'SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE',
  'SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, DEFERRABLE',
  'SHOW transaction_isolation',
];

/** Errors, reads and writes. */
function statements(n: number): readonly string[] {
  return [
    LOOK,
    LOOK,
    'SELECT 1',
    'SELECT 1/0',
    'SELEC',
    '',
    `SELECT * FROM own_${n} ORDER BY 1`,
    `SELECT count(*) FROM own_${n}`,
    `INSERT INTO own_${n} VALUES (2, 'two')`,
    `INSERT INTO own_${n} (id) VALUES (3) RETURNING id`,
    `UPDATE own_${n} SET name = current_setting('work_mem') WHERE id = 1 RETURNING name`,
    `DELETE FROM own_${n} WHERE id <> 1`,
    `SELECT nextval('ids_${n}')`,
    `CALL deeds.commits_${n}()`,
    "DO $$ BEGIN RAISE NOTICE 'heard'; RAISE WARNING 'too'; END $$",
  ];
}

/**
 * Has transactions run on a replica, which is as good as the primary for all but what leaves residue: LISTEN, for one, it
 * refuses behind a query.
 */
const READ_ONLY = [
  'BEGIN READ ONLY',
  'BEGIN READ ONLY',
  'BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY',
  'SET TRANSACTION READ ONLY',
  'SET default_transaction_read_only = on',
  'RESET default_transaction_read_only',
  'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
  'SHOW transaction_read_only',
];

/** Leaves on the connection what cannot travel. */
function residue(n: number): readonly string[] {
  return [
    'CREATE TEMP TABLE mine (id int)',
    'CREATE TEMP TABLE mine (id int) ON COMMIT DROP',
    `CREATE TEMP TABLE own_${n} AS SELECT 7 AS id, 'shadow' AS name`,
    'INSERT INTO mine VALUES (1)',
    'SELECT count(*) FROM mine',
    'SELECT 1 AS id INTO TEMP mine',
    'CREATE TEMP VIEW seen AS SELECT 1 AS one',
    'DROP TABLE mine',
    'SELECT deeds.makes_temp()',
    'SELECT count(*) FROM inside',
    'PREPARE p AS SELECT $1::int + 1',
    'EXECUTE p(1)',
    'DEALLOCATE p',
    'DEALLOCATE ALL',
    'SELECT name FROM pg_prepared_statements WHERE name = $$p$$',
    `DECLARE c CURSOR FOR SELECT id FROM own_${n} ORDER BY id`,
    'DECLARE h CURSOR WITH HOLD FOR SELECT generate_series(1, 9)',
    'FETCH c',
    'FETCH 2 FROM h',
    'MOVE 1 FROM h',
    'CLOSE c',
    'CLOSE h',
    'CLOSE ALL',
    `SELECT pg_advisory_lock(${n})`,
    `SELECT pg_try_advisory_lock_shared(${n}, 1)`,
    `SELECT pg_advisory_xact_lock(${n})`,
    `SELECT pg_advisory_unlock(${n})`,
    'SELECT pg_advisory_unlock_all()',
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
    `LISTEN news_${n}`,
    `NOTIFY news_${n}, 'hear'`,
    `UNLISTEN news_${n}`,
    'UNLISTEN *',
    'SELECT pg_listening_channels()',
    'DISCARD ALL',
    'DISCARD TEMP',
    'DISCARD PLANS',
    'DISCARD SEQUENCES',
    `SELECT lo_create(${700 + n})`,
    `SELECT lo_put(${700 + n}, 0, 'large')`,
    `SELECT lo_get(${700 + n})`,
    `SELECT lo_open(${700 + n}, 393216)`,
    "SELECT lowrite(0, 'by descriptor')",
    `SELECT lo_unlink(${700 + n})`,
    `PREPARE TRANSACTION 'two_${n}'`,
    `COMMIT PREPARED 'two_${n}'`,
    `ROLLBACK PREPARED 'two_${n}'`,
  ];
}

const SETTING_BY_PARAMETER = ['work_mem', 'search_path', 'application_name', 'TimeZone', 'app.tag', 'App.Other'];
const VALUE_BY_PARAMETER = ['5MB', 'public', 'UTC', "q'\\", ''];

/** Several at once: the replies to all are awaited behind the last. */
type Units = readonly (readonly Buffer[])[];

function units(n: number): fc.Arbitrary<Units> {
  const readsOnly = n % 2 === 1;
  const text = fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(...SETTINGS) },
    { weight: 1, arbitrary: fc.constantFrom(...IDENTITY) },
    // A replica that has a transaction with more than settings in it, or before it, cannot have it SERIALIZABLE.
    { weight: 4, arbitrary: fc.constantFrom(...TRANSACTIONS.filter((one) => !readsOnly || !one.startsWith('SET TRANSACTION'))) },
    { weight: 2, arbitrary: fc.constantFrom(...statements(n)) },
    { weight: 4, arbitrary: fc.constantFrom(...(readsOnly ? READ_ONLY : residue(n))) },
  );
  // What else is in a batch with these has deviations of its own (`conversations/deviations.ts`).
  const calm = text.filter((one) => !/^(DISCARD|DEALLOCATE|PREPARE p|EXECUTE)/.test(one));
  // Of a message that ends a transaction on a replica and goes on, changed settings are reported between its parts.
  const together = text.filter((one) => !readsOnly || !/^(COMMIT|ROLLBACK)/.test(one));
  const name = fc.constantFrom('', 'a', 'b');
  const setting = fc.tuple(fc.constantFrom(...SETTING_BY_PARAMETER), fc.constantFrom(...VALUE_BY_PARAMETER));
  const unit = fc.oneof(
    { weight: 8, arbitrary: text.map((one) => [query(one)]) },
    { weight: 4, arbitrary: text.map((one) => run(one)) },
    {
      weight: 3,
      arbitrary: fc.array(together, { minLength: 2, maxLength: 4 }).map((several) => [query(several.join('; '))]),
    },
    {
      weight: 2,
      arbitrary: fc
        .array(calm, { minLength: 2, maxLength: 3 })
        .map((several) => [...several.flatMap((one) => [parse('', one), bind(''), execute()]), sync]),
    },
    { weight: 2, arbitrary: setting.map((values) => run('SELECT set_config($1, $2, false)', values)) },
    { weight: 1, arbitrary: setting.map((values) => run('SELECT deeds.keeps($1, $2)', values)) },
    { weight: 2, arbitrary: fc.tuple(name, calm).map(([given, one]) => [parse(given, one), sync]) },
    { weight: 2, arbitrary: name.map((given) => [bind(given), describePortal(), execute('', 1), sync]) },
    { weight: 1, arbitrary: name.map((given) => [closeStatement(given), sync]) },
  );
  return fc.oneof(
    { weight: 5, arbitrary: unit.map((one) => [one]) },
    { weight: 1, arbitrary: fc.array(unit, { minLength: 2, maxLength: 3 }) },
  );
}

/** Startup packets whose settings are what RESET returns to; `carol` has defaults of her own. */
const STARTUPS: readonly Startup[] = [
  {},
  {},
  {},
  { parameters: { user: 'carol', application_name: 'carol' } },
  { parameters: { options: '-c work_mem=11MB -c search_path=aside,public', DateStyle: 'Postgres' } },
];

function session(n: number): fc.Arbitrary<Conversation> {
  return fc
    .tuple(fc.constantFrom(...STARTUPS), fc.array(units(n), { minLength: 3, maxLength: 14 }))
    .map(([startup, several]) =>
      startingWith(
        startup,
        conversation(
          `session ${n}`,
          ...several.map((together) => [...together.flat(), ...together.map(() => ready)]),
          ...queries(LOOK),
        ),
      ),
    );
}

/** Sessions to be played at the same time. */
export const sessions: fc.Arbitrary<readonly Conversation[]> = fc.tuple(...numbers.map(session));
