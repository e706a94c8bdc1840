import { decodeDataRow } from '../protocol/backend-decoders.ts';
import { BACKEND } from '../protocol/codes.ts';
import { encodeQuery } from '../protocol/frontend-encoders.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import type { BackendConnection } from './connection.ts';
import { Segment, type SegmentSink } from './exchange.ts';

/** Rows of an answer as text, or null when the question failed or the connection was lost. */
export type Answer = readonly (readonly (string | null)[])[] | null;

/** A question of our own, asked in a captured segment. */
export class Question implements SegmentSink {
  readonly #answered: (answer: Answer, status: number) => void;

  private constructor(answered: (answer: Answer, status: number) => void) {
    this.#answered = answered;
  }

  /** Asks `sql` as a simple query; `answered` is called once, with status 0 when the connection was lost. */
  static ask(connection: BackendConnection, sql: string, answered: (answer: Answer, status: number) => void): void {
    const segment = new Segment('capture', new Question(answered), null, null);
    connection.forgetUnnamed();
    connection.push(segment);
    const query = encodeQuery(sql);
    connection.write(query, 0, query.length);
  }

  forward(): void {}

  error(): void {}

  copyIn(): void {}

  parameter(): boolean {
    return false;
  }

  ready(segment: Segment, status: number): void {
    this.#answered(segment.failed ? null : rowsOf(segment.captured ?? []), status);
  }

  lost(): void {
    this.#answered(null, 0);
  }
}

/** Cuts the captured bytes, which are DataRow messages one behind the other, into rows. */
function rowsOf(captured: readonly Buffer[]): Answer {
  const bytes = captured.length === 1 && captured[0] !== undefined ? captured[0] : Buffer.concat(captured);
  const rows: (string | null)[][] = [];
  let at = 0;
  while (at + 5 <= bytes.length && bytes[at] === BACKEND.dataRow) {
    const end = at + 1 + bytes.readUInt32BE(at + 1);
    if (end > bytes.length) throw new ProtocolError('backend_protocol_violation', 'a row is cut off');
    rows.push(decodeDataRow(bytes, at, end));
    at = end;
  }
  return rows;
}
