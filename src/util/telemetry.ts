export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined | Error>>;

/**
 * What lower floors say about themselves; implemented by the logger and the metrics above, handed in by `app.ts`.
 * Fields never carry secrets or statement literals. Nothing here may block or throw.
 */
export interface Telemetry {
  /** One event, one line. `event` is a stable snake_case name. */
  log(level: LogLevel, event: string, fields?: LogFields): void;
}

/** For tests and places where nobody listens. */
export const silentTelemetry: Telemetry = { log: () => undefined };
