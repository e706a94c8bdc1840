import type { PostgresNode } from './cluster.ts';
import { clientMessage } from './transcript.ts';

/** What a player does next. */
type Step =
  | { readonly kind: 'send'; readonly bytes: Buffer }
  /** Reads on to the next message of this name. */
  | { readonly kind: 'await'; readonly message: string }
  /** Reads on to the end of the connection, which must come. */
  | { readonly kind: 'closed' }
  /** Somebody else acts on the primary meanwhile. */
  | { readonly kind: 'elsewhere'; act(primary: PostgresNode): Promise<unknown> };

/** What one client says, and when. What it hears is not written down: PostgreSQL says what is right. */
export interface Conversation {
  readonly name: string;
  readonly steps: readonly Step[];
  readonly startup: Startup;
}

export interface Startup {
  readonly protocolVersion?: number;
  readonly parameters?: Readonly<Record<string, string>>;
}

/** A conversation from messages and steps. */
export function conversation(name: string, ...parts: readonly (Buffer | Step | readonly (Buffer | Step)[])[]): Conversation {
  const steps = parts.flat().map((part) => (Buffer.isBuffer(part) ? { kind: 'send' as const, bytes: part } : part));
  return { name, steps, startup: {} };
}

/** The same with another startup packet. */
export function startingWith(startup: Startup, told: Conversation): Conversation {
  return { ...told, startup };
}

/** Whether all of it may be sent in one go: nothing in it happens elsewhere, and the client does not end it. */
export function mayBeSentAtOnce({ steps }: Conversation): boolean {
  return steps.every(({ kind }) => kind !== 'elsewhere' && kind !== 'closed');
}

export const ready: Step = { kind: 'await', message: 'ReadyForQuery' };
export const closed: Step = { kind: 'closed' };
export const sync = clientMessage('Sync');
export const flush = clientMessage('Flush');
export const terminate = clientMessage('Terminate');
export const copyDone = clientMessage('CopyDone');

export function awaits(message: string): Step {
  return { kind: 'await', message };
}

export function elsewhere(sql: string): Step {
  return { kind: 'elsewhere', act: (primary) => primary.query(sql) };
}

export function query(text: string): Buffer {
  return clientMessage('Query', text);
}

/** A simple query, and its reply awaited; one after the other. */
export function queries(...texts: readonly string[]): (Buffer | Step)[] {
  return texts.flatMap((text) => [query(text), ready]);
}

export function parse(name: string, text: string, types: readonly number[] = []): Buffer {
  return clientMessage('Parse', name, text, types);
}

interface BindOptions {
  readonly portal?: string;
  /** Formats of the parameters and of the columns: none, one for all, or one for each. */
  readonly formats?: readonly number[];
  readonly results?: readonly number[];
}

export function bind(statement: string, values: readonly (string | null)[] = [], options: BindOptions = {}): Buffer {
  const { portal = '', formats = [], results = [] } = options;
  return clientMessage('Bind', portal, statement, formats, values, results);
}

export function describeStatement(name: string): Buffer {
  return clientMessage('Describe', 'S', name);
}

export function describePortal(name = ''): Buffer {
  return clientMessage('Describe', 'P', name);
}

export function execute(portal = '', maxRows = 0): Buffer {
  return clientMessage('Execute', portal, maxRows);
}

export function closeStatement(name: string): Buffer {
  return clientMessage('Close', 'S', name);
}

export function closePortal(name = ''): Buffer {
  return clientMessage('Close', 'P', name);
}

export function copyData(text: string): Buffer {
  return clientMessage('CopyData', text);
}

export function copyFail(text: string): Buffer {
  return clientMessage('CopyFail', text);
}

/** Unnamed, as drivers run a statement: everything up to its Sync in one go. */
export function run(text: string, values: readonly (string | null)[] = []): Buffer[] {
  return [parse('', text), bind('', values), describePortal(), execute(), sync];
}

/** Runs a named statement again. */
export function runNamed(name: string, values: readonly (string | null)[] = []): Buffer[] {
  return [bind(name, values), execute(), sync];
}

/** A message of any type and body, true to its length. */
export function raw(type: string, body: string): Buffer {
  const bytes = Buffer.from(`${type}\0\0\0\0${body}`, 'latin1');
  bytes.writeUInt32BE(bytes.length - 1, 1);
  return bytes;
}
