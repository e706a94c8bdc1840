import { decodeErrorFields, type ErrorFields } from '../../src/protocol/error-response.ts';
import { printTranscript, tell } from './transcript.ts';

/** One message of the other side. */
export class Message {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Name of the protocol page; of nothing known, `hex`. */
  get name(): string {
    return tell('S', this.bytes)?.name ?? 'hex';
  }

  /** Fields in the order of the protocol page; see transcript.ts. */
  get args(): readonly unknown[] {
    return tell('S', this.bytes)?.args ?? [];
  }

  get body(): Buffer {
    return this.bytes.subarray(5);
  }

  toString(): string {
    return printTranscript([{ side: 'S', bytes: this.bytes }]);
  }
}

/** The other side answered with an ErrorResponse. */
export class WireError extends Error {
  override readonly name = 'WireError';
  readonly fields: ErrorFields;

  constructor(response: Message) {
    const fields = decodeErrorFields(response.bytes, 0, response.bytes.length);
    super(`${fields.severity} ${fields.sqlstate}: ${fields.message}`);
    this.fields = fields;
  }

  get sqlstate(): string {
    return this.fields.sqlstate ?? '';
  }
}

/** What a query gave: the rows of all its statements, in text. */
export interface WireResult {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | null)[])[];
  readonly tags: readonly string[];
}

/** Gathers a reply up to ReadyForQuery. @throws WireError with the first error */
export function resultOf(messages: readonly Message[]): WireResult {
  const error = messages.find((message) => message.name === 'ErrorResponse');
  if (error !== undefined) throw new WireError(error);
  const argsOf = (name: string) => messages.filter((message) => message.name === name).map((message) => message.args[0]);
  return {
    columns: ((argsOf('RowDescription').at(-1) as unknown[] | undefined) ?? []).map((column) =>
      String(Array.isArray(column) ? column[0] : column),
    ),
    rows: argsOf('DataRow') as (string | null)[][],
    tags: argsOf('CommandComplete').map(String),
  };
}
