import { describe, expect, it } from 'vitest';
import { type Served, type ServeParts, type Signal, serve } from '../../../src/cli/serve.ts';
import type { Config } from '../../../src/config/settings.ts';
import type { Validation } from '../../../src/config/validate.ts';
import { configOf, MINIMUM } from '../config/validate-text.ts';

const valid = (text: string): Validation => ({ kind: 'valid', config: configOf(text), locate: () => ({ line: 1, column: 1 }) });

interface Deferred {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** A process that serves: signals are sent to it, and its log is read. */
class Stage {
  readonly log: Record<string, unknown>[] = [];
  readonly errors: string[] = [];
  readonly reloaded: Config[] = [];
  readonly started: Deferred = Promise.withResolvers<void>();
  readonly closed: Deferred = Promise.withResolvers<void>();
  validation: Validation = valid(MINIMUM);
  reloadError: Error | null = null;
  #handlers = new Set<(name: Signal) => void>();

  start(): Promise<number> {
    const served: Served = {
      listenAddresses: [{ host: '::', port: 6432 }],
      reload: (config) => {
        if (this.reloadError !== null) return Promise.reject(this.reloadError);
        this.reloaded.push(config);
        return Promise.resolve();
      },
      close: () => this.closed.promise,
    };
    const parts: ServeParts = {
      file: 'c.yaml',
      version: '1.2.3',
      io: { env: {}, out: () => undefined, err: (line) => void this.errors.push(line) },
      load: () => this.validation,
      start: () => this.started.promise.then(() => served),
      log: { write: (line) => void this.log.push(JSON.parse(line)) },
      onSignal: (handler) => {
        this.#handlers.add(handler);
        return () => this.#handlers.delete(handler);
      },
    };
    return serve(parts);
  }

  get listens(): boolean {
    return this.#handlers.size > 0;
  }

  /** Sends a signal and lets everything happen that can happen at once. */
  async send(name: Signal): Promise<void> {
    for (const handler of this.#handlers) handler(name);
    await settle();
  }

  events(): unknown[] {
    return this.log.map(({ event }) => event);
  }
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

async function startedStage(): Promise<{ stage: Stage; exit: Promise<number> }> {
  const stage = new Stage();
  const exit = stage.start();
  stage.started.resolve();
  await settle();
  return { stage, exit };
}

describe('serve', () => {
  it('says where it listens', async () => {
    const { stage } = await startedStage();
    expect(stage.log).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        event: 'started',
        version: '1.2.3',
        pid: process.pid,
        config: 'c.yaml',
        listen: '[::]:6432',
      },
    ]);
  });

  it('does not start with a broken configuration', async () => {
    const stage = new Stage();
    stage.validation = { kind: 'invalid', problems: [{ path: 'a', place: { line: 1, column: 2 }, message: 'is wrong' }] };
    expect(await stage.start()).toBe(1);
    expect(stage.errors).toEqual(['c.yaml:1:2: a is wrong', '1 problem']);
    expect(stage.listens).toBe(false);
  });

  it('fails as its start fails', async () => {
    const stage = new Stage();
    const exit = stage.start();
    stage.started.reject(new Error('address in use'));
    await expect(exit).rejects.toThrow('address in use');
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('drains on %s and exits with 0', async (signal) => {
    const { stage, exit } = await startedStage();
    await stage.send(signal);
    expect(stage.log.at(-1)).toMatchObject({ event: 'draining', signal, timeout_ms: 30_000 });
    stage.closed.resolve();
    expect(await exit).toBe(0);
    expect(stage.events()).toEqual(['started', 'draining', 'stopped']);
    expect(stage.listens).toBe(false);
  });

  it.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('ends at once on a second signal, %s, with exit code %i', async (signal, expected) => {
    const { stage, exit } = await startedStage();
    await stage.send('SIGTERM');
    await stage.send(signal);
    expect(await exit).toBe(expected);
    expect(stage.events()).toEqual(['started', 'draining', 'stopped_without_draining']);
  });

  it('ends at once while it is still starting', async () => {
    const stage = new Stage();
    const exit = stage.start();
    await stage.send('SIGINT');
    expect(await exit).toBe(130);
  });

  it('says so when draining fails', async () => {
    const { stage, exit } = await startedStage();
    await stage.send('SIGTERM');
    stage.closed.reject(new Error('no'));
    expect(await exit).toBe(1);
    expect(stage.log.at(-1)).toMatchObject({ level: 'error', event: 'stopped_with_error', error: { message: 'no' } });
  });
});

describe('SIGHUP', () => {
  it('puts a changed configuration in force and logs what changed', async () => {
    const { stage } = await startedStage();
    stage.validation = valid(`${MINIMUM}pool: { max_per_backend: 7 }\n`);
    await stage.send('SIGHUP');
    expect(stage.reloaded.map(({ pool }) => pool.maxPerBackend)).toEqual([7]);
    expect(stage.log.slice(1)).toMatchObject([
      { level: 'info', event: 'setting_changed', path: 'pool.max_per_backend', from: '50', to: '7' },
      { level: 'info', event: 'reload_applied', changes: 1 },
    ]);
  });

  it('changes the level of the log', async () => {
    const { stage } = await startedStage();
    stage.validation = valid(`${MINIMUM}log: { level: error }\n`);
    await stage.send('SIGHUP');
    expect(stage.reloaded).toHaveLength(1);
    stage.validation = valid(MINIMUM);
    await stage.send('SIGHUP');
    expect(stage.events()).toEqual(['started', 'setting_changed', 'reload_applied']);
  });

  it('keeps everything when the configuration is broken, and logs each problem', async () => {
    const { stage } = await startedStage();
    stage.validation = { kind: 'invalid', problems: [{ path: 'a', place: { line: 3, column: 4 }, message: 'is wrong' }] };
    await stage.send('SIGHUP');
    expect(stage.reloaded).toEqual([]);
    expect(stage.log.slice(1)).toMatchObject([
      { level: 'error', event: 'config_problem', path: 'a', line: 3, column: 4, message: 'is wrong' },
      { level: 'error', event: 'reload_refused', cause: 'invalid configuration', problems: 1 },
    ]);
  });

  it('keeps everything when a restart is needed', async () => {
    const { stage } = await startedStage();
    stage.validation = valid(`${MINIMUM}http: 127.0.0.1:1\npool: { max_per_backend: 7 }\n`);
    await stage.send('SIGHUP');
    expect(stage.reloaded).toEqual([]);
    expect(stage.log.slice(1)).toMatchObject([
      { level: 'error', event: 'setting_needs_restart', path: 'http.port', from: '9187', to: '1' },
      { level: 'error', event: 'reload_refused', cause: 'needs a restart', changes: 1 },
    ]);
  });

  it('keeps everything when the new configuration cannot be put in force', async () => {
    const { stage } = await startedStage();
    stage.reloadError = new Error('no such certificate');
    await stage.send('SIGHUP');
    expect(stage.log.at(-1)).toMatchObject({ event: 'reload_refused', error: { message: 'no such certificate' } });
  });

  it('during the start is not forgotten', async () => {
    const stage = new Stage();
    void stage.start();
    await stage.send('SIGHUP');
    stage.started.resolve();
    await settle();
    expect(stage.reloaded).toHaveLength(1);
  });

  it('is refused while draining', async () => {
    const { stage } = await startedStage();
    await stage.send('SIGTERM');
    await stage.send('SIGHUP');
    expect(stage.reloaded).toEqual([]);
    expect(stage.log.at(-1)).toMatchObject({ event: 'reload_refused', cause: 'draining' });
  });

  it('logs no secret that changed', async () => {
    const { stage } = await startedStage();
    stage.validation = valid(`${MINIMUM}auth: { users: [ { name: a, password: canary-7f3a } ] }\n`);
    await stage.send('SIGHUP');
    expect(stage.events()).toContain('reload_applied');
    expect(JSON.stringify(stage.log)).toContain('[redacted]');
    expect(JSON.stringify(stage.log)).not.toContain('canary');
  });
});
