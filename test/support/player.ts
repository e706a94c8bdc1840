import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { PostgresNode } from './cluster.ts';
import { type Conversation, mayBeSentAtOnce } from './conversation.ts';
import { clientMessage, type Normalise, printTranscript } from './transcript.ts';
import { WireClient } from './wire-client.ts';

/** How the client's bytes reach the other side. `without waiting`: all of them, before any reply is read. */
export type Manner =
  | { readonly kind: 'whole' | 'byte by byte' | 'without waiting' }
  | { readonly kind: 'cut'; readonly seed: number };

export interface Stage {
  readonly host: string;
  readonly port: number;
  readonly primary: PostgresNode;
  /** Bound on each wait for a reply. */
  readonly timeoutMs: number;
  /** Who plays beside others says nothing before it is his turn, and ends it when he has heard the answer. */
  readonly turn?: () => Promise<() => void>;
}

/** More pieces than this are not cut of one step: the rest of a long one comes whole. */
const MAX_PIECES = 1_500;
const END = 'end of the conversation';

/**
 * Plays a conversation from login to end and returns everything the other side said, a line for each message, up to the
 * proof that it still serves: an open COPY is called off, an open transaction rolled back, and a query answered.
 */
export async function play(told: Conversation, stage: Stage, manner: Manner): Promise<string[]> {
  const { host, port, primary, timeoutMs, turn = async () => () => undefined } = stage;
  using client = await WireClient.open({ host, port, timeoutMs, ...told.startup });
  const heard = new Heard(client);
  try {
    const greeted = await turn();
    client.send(client.startupMessage());
    await heard.until('ReadyForQuery');
    greeted();
    const atOnce = manner.kind === 'without waiting' && mayBeSentAtOnce(told);
    let unsent: Buffer[] = [];
    for (const step of told.steps) {
      if (step.kind === 'send') {
        unsent.push(step.bytes);
        continue;
      }
      if (atOnce) continue;
      const done = await turn();
      await deliver(client, Buffer.concat(unsent), manner);
      unsent = [];
      if (step.kind === 'await') await heard.until(step.message);
      else if (step.kind === 'elsewhere') await step.act(primary);
      else return await heard.untilClosed();
      done();
    }
    unsent.push(clientMessage('CopyFail', END), clientMessage('Sync'));
    unsent.push(clientMessage('Query', 'ROLLBACK'), clientMessage('Query', `SELECT '${END}'`));
    const done = await turn();
    await deliver(client, Buffer.concat(unsent), manner);
    await heard.untilEnd();
    done();
  } catch (error) {
    heard.lines.push(`-- ${error instanceof Error ? error.message.split('; the conversation')[0] : error}`);
  }
  return heard.lines;
}

async function deliver(client: WireClient, bytes: Buffer, manner: Manner): Promise<void> {
  if (bytes.length === 0) return;
  let at = 0;
  const random = manner.kind === 'cut' ? randomFrom(manner.seed) : null;
  for (let piece = 0; piece < MAX_PIECES && at < bytes.length; piece++) {
    const rest = bytes.length - at;
    const size = manner.kind === 'byte by byte' ? 1 : random === null ? rest : 1 + Math.floor(random() ** 3 * Math.min(rest, 64));
    client.sendPiece(bytes.subarray(at, at + size));
    at += size;
    await nextTurn();
  }
  if (at < bytes.length) client.sendPiece(bytes.subarray(at));
}

/** What the other side said, message by message. */
class Heard {
  readonly lines: string[] = [];
  readonly #client: WireClient;
  readonly #normalise = normaliser();

  constructor(client: WireClient) {
    this.#client = client;
  }

  async until(name: string): Promise<void> {
    while ((await this.#next()) !== name);
  }

  async untilClosed(): Promise<string[]> {
    for (const { bytes } of await this.#client.receiveUntilClosed()) this.#note(bytes);
    this.lines.push('-- closed');
    return this.lines;
  }

  /** To the ReadyForQuery behind the row that the end asks for. */
  async untilEnd(): Promise<void> {
    while (!(this.lines.at(-1) ?? '').startsWith(`S: DataRow ["${END}"]`)) await this.#next();
    await this.until('ReadyForQuery');
  }

  async #next(): Promise<string> {
    const [message] = await this.#client.receive(1);
    if (message === undefined) return '';
    this.#note(message.bytes);
    return message.name;
  }

  #note(bytes: Buffer): void {
    const line = printTranscript([{ side: 'S', bytes }], this.#normalise);
    const long = line.length > 600;
    this.lines.push(
      long ? `${line.slice(0, 60)}... ${bytes.length} bytes, ${createHash('sha1').update(bytes).digest('hex')}` : line,
    );
  }
}

/**
 * Hides what differs from run to run: process ids and keys (not their length), and the OIDs of objects that were made
 * since, numbered as they come.
 */
function normaliser(): Normalise {
  const oids = new Map<number, string>();
  const oid = (value: unknown) => {
    const number = Number(value);
    if (number < FIRST_NORMAL_OID) return value;
    const name = oids.get(number) ?? `<oid ${oids.size + 1}>`;
    oids.set(number, name);
    return name;
  };
  return (told) => {
    const [first, ...rest] = told.args;
    switch (told.name) {
      case 'BackendKeyData':
        return { name: told.name, args: ['<process id>', `<key of ${String(rest[0]).length} bytes>`] };
      case 'NotificationResponse':
        return { name: told.name, args: ['<process id>', ...rest] };
      case 'ParameterDescription':
        return { name: told.name, args: [Array.isArray(first) ? first.map(oid) : first] };
      case 'RowDescription':
        return {
          name: told.name,
          args: [
            Array.isArray(first)
              ? first.map((column) =>
                  Array.isArray(column) ? column.map((part, index) => (index === 1 || index === 3 ? oid(part) : part)) : column,
                )
              : first,
          ],
        };
      default:
        return told;
    }
  };
}

/** FirstNormalObjectId of PostgreSQL's access/transam.h. */
const FIRST_NORMAL_OID = 16_384;

/** Uniform in [0, 1), the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
