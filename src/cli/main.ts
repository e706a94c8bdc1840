import { BugError } from '../util/assert.ts';
import { LineWriter, type PlainError, plainError } from '../util/logger.ts';
import { EXIT, type Io } from './io.ts';
import { run } from './program.ts';
import { SIGNALS, type Signal } from './serve.ts';

/** The log's last lines have this long to leave. */
const FLUSH_TIMEOUT_MS = 1000;

/** The process: runs its command line and ends with an exit code, whatever happens. */
export async function main(): Promise<void> {
  const log = new LineWriter(process.stdout.fd);
  const end = async (exitCode: number): Promise<void> => {
    await log.end(FLUSH_TIMEOUT_MS);
    process.exit(exitCode);
  };
  const fail = async (error: unknown): Promise<void> => {
    for (const line of describeFailure(error)) io.err(line);
    await end(error instanceof BugError ? EXIT.bug : EXIT.failed);
  };
  const io: Io = {
    env: process.env,
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (line) => void process.stderr.write(`${line}\n`),
  };
  // A reader that went away, such as `pgweir route ... | head -1`, is no failure.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  process.on('uncaughtException', (error) => void fail(error));
  try {
    await end(await run(process.argv.slice(2), io, { log, onSignal }));
  } catch (error) {
    await fail(error);
  }
}

/** What is safe to show of an error, with the place in the program when it is a defect. */
export function describeFailure(error: unknown): string[] {
  const plain = plainError(error);
  const lines = [`pgweir: ${plain.stack === undefined ? '' : 'internal error: '}${plain.message}`];
  for (let cause: PlainError | undefined = plain.cause; cause !== undefined; cause = cause.cause) {
    lines.push(`  because: ${cause.message}`);
  }
  return plain.stack === undefined ? lines : [...lines, ...plain.stack.split('\n').map((frame) => `  ${frame}`)];
}

function onSignal(handler: (name: Signal) => void): () => void {
  const listeners = SIGNALS.map((name) => ({ name, listener: () => handler(name) }));
  for (const { name, listener } of listeners) process.on(name, listener);
  return () => {
    for (const { name, listener } of listeners) process.off(name, listener);
  };
}
