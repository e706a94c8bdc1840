import { write } from 'node:fs';
import { pino, stdTimeFunctions } from 'pino';
import { BugError } from './assert.ts';
import { OperationalError } from './errors.ts';
import { Secret } from './secret.ts';
import type { LogFields, LogLevel, Telemetry } from './telemetry.ts';
import { fromWireText } from './wire-text.ts';

/** An error's causes are shown this deep. */
const MAX_CAUSES = 4;

/**
 * The log of the process: one JSON object per line, with `level`, `time` (ISO 8601, UTC), `event`, and the fields of the
 * event.
 */
export class Logger implements Telemetry {
  readonly #pino: pino.Logger;

  /** @param output takes whole lines, newline included. */
  constructor(level: LogLevel, output: { write(line: string): void }) {
    const options = {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label: string) => ({ level: label }) },
      // pino would show every property of an error in `err`, and its message a second time: fields are plain already.
      errorKey: 'event',
      serializers: { err: (value: unknown) => value },
    };
    this.#pino = pino(options, output);
  }

  log(level: LogLevel, event: string, fields?: LogFields): void {
    if (!this.#pino.isLevelEnabled(level)) return;
    this.#pino[level](fields === undefined ? { event } : { event, ...plainFields(fields) });
  }

  /** Takes effect at once. */
  setLevel(level: LogLevel): void {
    this.#pino.level = level;
  }
}

/** What waits to be written when the reader of the log is slow; what comes on top is dropped and counted. */
const MAX_WAITING_CHARACTERS = 16 * 1024 * 1024;

/** A pipe that is full is tried again after this long. */
const RETRY_MS = 20;

/**
 * Writes lines to a file descriptor in the background, in order, so that a slow or stopped reader of the log never blocks
 * and never fills the memory. Lines that are written while one is on its way travel together. When the reader is gone,
 * lines vanish. (pino's own stream never returns from flushing to a reader that is gone.)
 */
export class LineWriter {
  readonly #descriptor: number;
  #current: Buffer | null = null;
  #waiting = '';
  #dropped = 0;
  #broken = false;
  #idle: (() => void) | null = null;

  /**
   * @param descriptor that of a pipe must not block, or a stopped reader would keep the process from ending: take
   *   `process.stdout.fd`, which Node makes so when `process.stdout` is first touched.
   */
  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  write(line: string): void {
    if (this.#broken) return;
    if (this.#waiting.length + line.length > MAX_WAITING_CHARACTERS) this.#dropped += 1;
    else this.#waiting += line;
    if (this.#current === null) this.#next();
  }

  /** Resolves when everything is written, or cannot be, or `timeoutMs` have passed. */
  async end(timeoutMs: number): Promise<void> {
    if (this.#current === null) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#idle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #next(): void {
    if (this.#dropped > 0 && this.#waiting === '') {
      this.#waiting = `${JSON.stringify({ level: 'warn', event: 'log_lines_dropped', count: this.#dropped })}\n`;
      this.#dropped = 0;
    }
    this.#current = this.#waiting === '' || this.#broken ? null : Buffer.from(this.#waiting);
    this.#waiting = '';
    if (this.#current === null) this.#idle?.();
    else this.#send(this.#current);
  }

  #send(bytes: Buffer): void {
    this.#current = bytes;
    write(this.#descriptor, bytes, (error, written) => {
      if (error?.code === 'EAGAIN') setTimeout(() => this.#send(bytes), RETRY_MS).unref();
      else if (error === null && written < bytes.length) this.#send(bytes.subarray(written));
      else {
        this.#broken = error !== null;
        this.#next();
      }
    });
  }
}

/** See {@link plainError}. */
export interface PlainError {
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

/** Text off the wire is held one character per byte: shown as the UTF-8 that it mostly is, otherwise as it came. */
function readable(text: string): string {
  if (!/[\u0080-\u00ff]/.test(text) || /[\u0100-\uffff]/.test(text)) return text;
  return fromWireText(text) ?? text;
}
