import type { PgClientOptions } from '../backend/pg-client.ts';
import type { BackendTls } from '../backend/tls.ts';
import type { Config } from '../config/settings.ts';
import type { Clock } from '../util/clock.ts';
import type { Telemetry } from '../util/telemetry.ts';
import { Monitor, type MonitorSettings, type ViewListener } from './monitor.ts';
import { BackendProber } from './probe.ts';
import type { Topology, View } from './view.ts';

/** Who watches the backends for this process: a monitor of its own, or one elsewhere. */
export interface Watch extends Topology {
  /** Resolves when every backend has been asked. */
  start(): Promise<View>;
  /** Whoever waits is told that it was in vain. */
  stop(): void;
  /** @returns what ends the listening. */
  onChange(listener: ViewListener): () => void;
  /** Takes over new settings. */
  reconfigure(settings: MonitorSettings): void;
}

/** As whom the monitor and its kin log in, but for the node. */
export function monitorLogin({ monitor }: Config, tls: () => BackendTls): Omit<PgClientOptions, 'host' | 'port'> {
  return {
    user: monitor.user,
    password: monitor.password,
    database: monitor.database,
    tls,
    timeoutMs: monitor.timeoutMs,
    applicationName: 'pgweir monitor',
  };
}

/** The monitor of all backends of a configuration. */
export function monitorOf(
  config: Config,
  parts: { readonly clock: Clock; readonly telemetry: Telemetry; readonly tls: () => BackendTls },
): Monitor {
  const login = monitorLogin(config, parts.tls);
  return new Monitor({
    backends: config.backends,
    settings: monitorSettings(config),
    clock: parts.clock,
    telemetry: parts.telemetry,
    createProber: ({ host, port }, report) => new BackendProber({ ...login, host, port }, parts.clock, report),
  });
}

/** What of a configuration the monitor goes by. */
export function monitorSettings({ monitor, routing }: Config): MonitorSettings {
  return {
    intervalMs: monitor.intervalMs,
    idleIntervalMs: monitor.idleIntervalMs,
    observationLifeMs: monitor.observationLifeMs,
    maxLagMs: routing.maxLagMs,
    maxLagBytes: routing.maxLagBytes,
  };
}
