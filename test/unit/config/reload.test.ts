import { describe, expect, it } from 'vitest';
import { diffConfigs } from '../../../src/config/diff.ts';
import type { Config } from '../../../src/config/settings.ts';
import { ConfigStore } from '../../../src/config/store.ts';
import type { Validation } from '../../../src/config/validate.ts';
import { configOf, MINIMUM } from './validate-text.ts';

const initial = configOf(MINIMUM);
const valid = (config: Config): Validation => ({ kind: 'valid', config, locate: () => ({ line: 1, column: 1 }) });

describe('the difference of two configurations', () => {
  it('is nothing between two readings of one text', () => {
    const text = `${MINIMUM}auth: { users: [ { name: a, password: p } ] }\n`;
    expect(diffConfigs(configOf(text), configOf(text))).toEqual([]);
  });

  it('names what changed as the file does', () => {
    const changed = configOf(`backends: [pg-1, pg-2]
monitor: { user: m, password: p, idle_interval: 2s }
pool: { max_per_backend: 7 }
routing: { max_lag_bytes: 1MB }
auth: { query: off }
`);
    expect(diffConfigs(initial, changed)).toEqual([
      {
        path: 'backends[1]',
        from: null,
        to: '{"host":"pg-2","port":5432,"name":"pg-2:5432","weight":1}',
        restart: true,
      },
      { path: 'monitor.password', from: 'none', to: '[redacted]', restart: true },
      { path: 'monitor.idle_interval', from: '1s', to: '2s', restart: false },
      { path: 'auth.query', from: '{"user":null,"password":null,"database":null,"statement":null}', to: 'none', restart: true },
      { path: 'routing.max_lag_bytes', from: 'none', to: '1000000B', restart: false },
      { path: 'pool.max_per_backend', from: '50', to: '7', restart: false },
    ]);
  });

  it('knows which settings need a restart', () => {
    const changed = configOf(
      `${MINIMUM}listen: [ { address: 0.0.0.0:6432, mode: read-only } ]\nhttp: 127.0.0.1:1\nlog: { level: debug }\n`,
    );
    expect(diffConfigs(initial, changed).map(({ path, restart }) => [path, restart])).toEqual([
      ['listen[0].mode', true],
      ['http.port', true],
      ['log.level', false],
    ]);
  });
});

describe('a reload', () => {
  it('puts a changed configuration in force and holds it', async () => {
    const next = configOf(`${MINIMUM}log: { level: debug }\n`);
    const applied: Config[] = [];
    const store = new ConfigStore(
      initial,
      () => valid(next),
      async (config) => void applied.push(config),
    );
    expect(await store.reload()).toEqual({
      kind: 'applied',
      changes: [{ path: 'log.level', from: 'info', to: 'debug', restart: false }],
    });
    expect(applied).toEqual([next]);
    expect(store.current()).toBe(next);
  });

  it('without changes is applied all the same, since files may have new content', async () => {
    let applied = 0;
    const store = new ConfigStore(
      initial,
      () => valid(configOf(MINIMUM)),
      async () => void applied++,
    );
    expect(await store.reload()).toEqual({ kind: 'applied', changes: [] });
    expect(applied).toBe(1);
  });

  it('changes nothing when the new configuration is wrong', async () => {
    const problems = [{ path: 'a', place: null, message: 'b' }];
    const store = new ConfigStore(
      initial,
      () => ({ kind: 'invalid', problems }),
      () => Promise.reject(new Error('must not be called')),
    );
    expect(await store.reload()).toEqual({ kind: 'invalid', problems });
    expect(store.current()).toBe(initial);
  });

  it('changes nothing when a part of it needs a restart, and names that part only', async () => {
    const next = configOf(`${MINIMUM}log: { level: debug }\nhttp: 127.0.0.1:1\n`);
    const store = new ConfigStore(
      initial,
      () => valid(next),
      () => Promise.reject(new Error('must not be called')),
    );
    expect(await store.reload()).toEqual({
      kind: 'needs restart',
      changes: [{ path: 'http.port', from: '9187', to: '1', restart: true }],
    });
    expect(store.current()).toBe(initial);
  });

  it('changes nothing when it cannot be put in force', async () => {
    const error = new Error('no');
    const next = configOf(`${MINIMUM}log: { level: debug }\n`);
    const store = new ConfigStore(
      initial,
      () => valid(next),
      () => Promise.reject(error),
    );
    expect(await store.reload()).toEqual({ kind: 'failed', error });
    expect(store.current()).toBe(initial);
  });

  it('waits for the one before it', async () => {
    const events: string[] = [];
    let release = (): void => undefined;
    const store = new ConfigStore(
      initial,
      () => valid(initial),
      async () => {
        events.push('begin');
        if (events.length === 1) await new Promise<void>((resolve) => (release = resolve));
        events.push('end');
      },
    );
    const both = Promise.all([store.reload(), store.reload()]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(events).toEqual(['begin']);
    release();
    await both;
    expect(events).toEqual(['begin', 'end', 'begin', 'end']);
  });
});
