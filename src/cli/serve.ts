import { formatAddress } from '../config/address.ts';
import type { Change } from '../config/diff.ts';
import type { Config } from '../config/settings.ts';
import { ConfigStore, type Reload } from '../config/store.ts';
import type { Validation } from '../config/validate.ts';
import { errorOf } from '../util/errors.ts';
import { Logger } from '../util/logger.ts';
import type { Telemetry } from '../util/telemetry.ts';
import { reportProblems } from './check.ts';
import { EXIT, type Io } from './io.ts';

/** The running proxy, as far as its life is concerned. */
export interface Served {
  readonly listenAddresses: readonly { readonly host: string; readonly port: number }[];
  /** Puts a configuration in force as a whole, or throws and leaves everything as it was. */
  reload(config: Config): Promise<void>;
  /** Drains: finishes transactions within `shutdown.drain_timeout`, then closes everything. */
  close(): Promise<void>;
}

export interface ServeParts {
  /** As the user named it. */
  readonly file: string;
  readonly version: string;
  readonly io: Io;
  readonly load: () => Validation;
  readonly start: (config: Config, telemetry: Telemetry) => Promise<Served>;
  readonly log: { write(line: string): void };
  /** Calls back for each signal of the process until its result is called. */
  readonly onSignal: (handler: (name: Signal) => void) => () => void;
}

export const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;
export type Signal = (typeof SIGNALS)[number];

/** What a shell reports for a process that a signal has ended. */
const EXIT_BY_SIGNAL: Readonly<Record<Signal, number>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

/**
 * `pgweir serve`: runs until SIGTERM or SIGINT, which drain; a second one ends at once. SIGHUP reads the configuration
 * again. Resolves to the exit code.
 */
export async function serve(parts: ServeParts): Promise<number> {
  const validation = parts.load();
  if (validation.kind === 'invalid') return reportProblems(validation.problems, parts.file, parts.io);
  return await live(parts, validation.config);
}

function live(parts: ServeParts, config: Config): Promise<number> {
  const logger = new Logger(config.log.level, parts.log);
  return new Promise<number>((resolve, reject) => {
    let life: Life | null = null;
    let reloadAsked = false;
    const stopListening = parts.onSignal((signal) => {
      if (life !== null) life.on(signal);
      else if (signal === 'SIGHUP') reloadAsked = true;
      // Nobody has connected yet: there is nothing to drain.
      else end(EXIT_BY_SIGNAL[signal]);
    });
    const end = (exitCode: number): void => {
      stopListening();
      resolve(exitCode);
    };
    const begin = (served: Served): void => {
      logger.log('info', 'started', {
        version: parts.version,
        pid: process.pid,
        config: parts.file,
        listen: served.listenAddresses.map(formatAddress).join(', '),
      });
      life = new Life(parts, config, served, logger, end);
      if (reloadAsked) life.on('SIGHUP');
    };
    parts.start(config, logger).then(begin).catch(reject);
  });
}

/** From started to stopped. */
class Life {
  readonly #store: ConfigStore;
  readonly #served: Served;
  readonly #logger: Logger;
  readonly #ended: (exitCode: number) => void;
  #draining = false;

  constructor(parts: ServeParts, initial: Config, served: Served, logger: Logger, ended: (exitCode: number) => void) {
    this.#served = served;
    this.#logger = logger;
    this.#ended = ended;
    this.#store = new ConfigStore(initial, parts.load, async (config) => {
      await served.reload(config);
      logger.setLevel(config.log.level);
    });
  }

  on(signal: Signal): void {
    if (signal === 'SIGHUP') void this.#reload();
    else if (this.#draining) {
      this.#logger.log('warn', 'stopped_without_draining', { signal });
      this.#ended(EXIT_BY_SIGNAL[signal]);
    } else void this.#drain(signal);
  }

  async #reload(): Promise<void> {
    if (this.#draining) this.#logger.log('warn', 'reload_refused', { cause: 'draining' });
    else logReload(await this.#store.reload(), this.#logger);
  }

  async #drain(signal: Signal): Promise<void> {
    this.#draining = true;
    this.#logger.log('info', 'draining', { signal, timeout_ms: this.#store.current().shutdown.drainTimeoutMs });
    try {
      await this.#served.close();
      this.#logger.log('info', 'stopped');
      this.#ended(EXIT.ok);
    } catch (error) {
      this.#logger.log('error', 'stopped_with_error', { error: errorOf(error) });
      this.#ended(EXIT.failed);
    }
  }
}

/** What became of a reload, in one line for each change or problem and one for the whole. */
function logReload(reload: Reload, telemetry: Telemetry): void {
  switch (reload.kind) {
    case 'applied':
      for (const change of reload.changes) telemetry.log('info', 'setting_changed', describeChange(change));
      telemetry.log('info', 'reload_applied', { changes: reload.changes.length });
      return;
    case 'invalid':
      for (const { path, place, message } of reload.problems) {
        telemetry.log('error', 'config_problem', { path, line: place?.line, column: place?.column, message });
      }
      telemetry.log('error', 'reload_refused', { cause: 'invalid configuration', problems: reload.problems.length });
      return;
    case 'needs restart':
      for (const change of reload.changes) telemetry.log('error', 'setting_needs_restart', describeChange(change));
      telemetry.log('error', 'reload_refused', { cause: 'needs a restart', changes: reload.changes.length });
      return;
    case 'failed':
      telemetry.log('error', 'reload_refused', { cause: 'could not be put in force', error: errorOf(reload.error) });
  }
}

function describeChange({ path, from, to }: Change): { path: string; from: string | null; to: string | null } {
  return { path, from, to };
}
