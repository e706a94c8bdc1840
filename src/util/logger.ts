import { destination, pino, stdTimeFunctions } from 'pino';
import { BugError } from './assert.ts';
import { OperationalError } from './errors.ts';
import { Secret } from './secret.ts';
import type { LogFields, LogLevel, Telemetry } from './telemetry.ts';

/** What waits to be written when the reader of the log is slow; what comes on top is dropped. */
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;

/** An error's causes are shown this deep. */
const MAX_CAUSES = 4;

/** Where lines go. */
export interface LogStream {
  write(line: string): void;
  /** Writes out what is buffered. */
  flushSync?(): void;
}

/**
 * The log of the process: one JSON object per line, with `level`, `time` (ISO 8601, UTC), `event`, and the fields of the
 * event. Writes happen in the background, so a slow reader never blocks.
 */
export class Logger implements Telemetry {
  readonly #pino: pino.Logger;
  readonly #stream: LogStream;

  /** @param stream by default the standard output. */
  constructor(level: LogLevel, stream: LogStream = destination({ dest: 1, sync: false, maxLength: MAX_BUFFERED_BYTES })) {
    this.#stream = stream;
    const options = {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label: string) => ({ level: label }) },
      // Instead of pino's own, which shows every property of an error.
      serializers: { err: (value: unknown) => value },
    };
    this.#pino = pino(options, stream);
  }

  log(level: LogLevel, event: string, fields?: LogFields): void {
    if (!this.#pino.isLevelEnabled(level)) return;
    this.#pino[level](fields === undefined ? { event } : { event, ...plainFields(fields) });
  }

  /** Takes effect at once. */
  setLevel(level: LogLevel): void {
    this.#pino.level = level;
  }

  /** Writes out what is buffered: for the end of the process. */
  flush(): void {
    try {
      this.#stream.flushSync?.();
    } catch {
      // The reader of the log is gone, and with it the only place to say so.
    }
  }
}

interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
  readonly cause?: PlainError;
}

/**
 * An error as the log has it: name, message and code, causes likewise. Other properties stay out, since errors of a
 * database carry parts of rows and statements in them. Stacks are for what nobody expected.
 */
export function plainError(error: unknown, depth = 0): PlainError {
  if (!(error instanceof Error)) return { name: typeof error, message: 'not an error was thrown' };
  const code = error instanceof OperationalError ? error.sqlstate : 'code' in error ? error.code : undefined;
  const { cause } = error;
  return {
    name: error instanceof OperationalError ? error.kind : error.name,
    message: readable(error.message),
    ...(typeof code === 'string' && { code }),
    ...(isUnexpected(error) && error.stack !== undefined && { stack: frames(error.stack) }),
    ...(cause !== undefined && depth < MAX_CAUSES && { cause: plainError(cause, depth + 1) }),
  };
}

function isUnexpected(error: Error): boolean {
  return (
    error instanceof BugError || error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError
  );
}

/** Where it was, without the message, which is logged beside it. */
function frames(stack: string): string {
  const lines = stack.split('\n').filter((line) => /^\s+at /.test(line));
  return lines.map((line) => line.trim()).join('\n');
}

function plainFields(fields: LogFields): Record<string, unknown> {
  const plain: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) plain[name] = plainValue(value);
  return plain;
}

function plainValue(value: unknown): unknown {
  if (typeof value === 'string') return readable(value);
  if (value instanceof Error) return plainError(value);
  return value instanceof Secret ? value.toString() : value;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Text off the wire is held one character per byte: shown as the UTF-8 that it mostly is, otherwise as it came. */
function readable(text: string): string {
  if (!/[\u0080-\u00ff]/.test(text) || /[\u0100-\uffff]/.test(text)) return text;
  try {
    return utf8.decode(Uint8Array.from(text, (character) => character.charCodeAt(0)));
  } catch {
    return text;
  }
}
