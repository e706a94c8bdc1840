import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import type { Cluster } from '../support/cluster.ts';
import type { Driver } from './drivers.ts';
import { readTranscript, type Transcript } from './transcript.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const PROGRAM_TIMEOUT_MS = 60_000;

/** What every program finds in its database. */
const SCHEMA = `
  CREATE TABLE note (id serial PRIMARY KEY, body text NOT NULL);
  CREATE TABLE tea (id int PRIMARY KEY, name text NOT NULL UNIQUE, stock int NOT NULL CHECK (stock >= 0));
  INSERT INTO tea SELECT n, 'tea ' || n, n * 10 FROM generate_series(1, 100) n;
  CREATE TYPE mood AS ENUM ('calm', 'merry');
  CREATE TYPE pair AS (name text, n int);
  CREATE TABLE specimen (
    id int PRIMARY KEY, yes bool, i2 int2, i4 int4, i8 int8, dec numeric, f4 float4, f8 float8, t text, v varchar(20), c char(5),
    raw bytea, d date, ti time, ts timestamp, tz timestamptz, span interval, u uuid, j json, jb jsonb, ai int[], at text[], m mood,
    p pair, net inet, r int4range, b bit(4), o oid);
  INSERT INTO specimen VALUES
    (1, true, -32768, 2147483647, 9007199254740993, 12345678901234567890.0123456789, 1.5, 0.1, E'tab\\tquote''snow\\u2603', 'var', 'c',
     '\\x00ff5c27', '2024-02-29', '23:59:59.123456', '1999-12-31 23:59:59.999999', '2024-03-31 02:30:00+02', '1 mon 2 days 03:04:05.6',
     'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a": [1, 2.50]}', '{"b": null, "a": "\\u00e9"}', '{1,NULL,3}', '{"a b",",\\"",NULL}', 'merry',
     '("x,y",7)', '192.168.0.1/24', '[3,8)', '1010', 4294967295),
    (2, false, 0, -1, 0, 'NaN', 'Infinity', '-0', '', '', '', '', '0001-01-01', '00:00', '2000-01-01', '2000-01-01 00:00+00', '0',
     '00000000-0000-0000-0000-000000000000', '[]', '{}', '{}', '{}', 'calm', '(,)', '::1', 'empty', '0000', 0);
  INSERT INTO specimen (id) VALUES (3);
  CREATE TABLE returned (LIKE specimen);
`;

interface Target {
  readonly name: 'direct' | 'pgweir';
  readonly port: number;
}

/** The driver's version, or `null` if it is not installed. */
export function installedVersion({ probe: [file, ...args] }: Driver): string | null {
  const { stdout } = spawnSync(file, args, { cwd: ROOT, encoding: 'utf8' });
  return /\d+(\.\d+)+/.exec(stdout ?? '')?.[0] ?? null;
}

/** Runs the driver's program on a database of its own, named by libpq's environment variables, and reads what it printed. */
export async function runProgram(cluster: Cluster, driver: Driver, target: Target): Promise<Transcript> {
  const [file, ...args] = driver.command;
  const database = `${driver.name.replaceAll(/\W/g, '')}_${target.name}`;
  await cluster.primary.query(`CREATE DATABASE "${database}"`);
  await cluster.primary.query(SCHEMA, database);
  await cluster.waitForReplay();
  const child = spawn(file, args, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: PROGRAM_TIMEOUT_MS,
    env: {
      PATH: process.env.PATH,
      HOME: '/nonexistent',
      LC_ALL: 'C.UTF-8',
      TZ: 'Europe/Zurich',
      PGHOST: '127.0.0.1',
      PGPORT: String(target.port),
      PGUSER: 'postgres',
      PGDATABASE: database,
    },
  });
  const [printed, complaints, [code, signal]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  const transcript = readTranscript(printed);
  if (code === 0) return transcript;
  return { ...transcript, faults: [...transcript.faults, `ended with ${code ?? signal}: ${complaints.trim()}`] };
}
