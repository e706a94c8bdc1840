import { encodeDescribe, encodeExecute, encodeParse, encodeQuery, SYNC } from '../../src/protocol/frontend-encoders.ts';
import { clientMessage } from '../support/transcript.ts';
import type { Reply } from './client.ts';

/** Something asked of the database, with the one right answer to it. */
export interface Question {
  readonly kind: string;
  readonly what: string;
  readonly bytes: Buffer;
  /** Types of the messages of the answer. */
  readonly codes: string;
  /** The one row, or the error's SQLSTATE. */
  readonly answer: readonly string[] | string;
  /** The name that it gives to a statement. */
  readonly prepares: string | null;
}

/** So much of a reply is held back, so that the read can be run again: limits.held_reply_bytes. */
const HELD_BYTES = 60_000;

/** A simple query that returns one row, or fails before it is run. */
export function simple(kind: string, text: string, answer: Question['answer']): Question {
  const codes = typeof answer === 'string' ? 'EZ' : 'TDCZ';
  return { kind, what: text, bytes: encodeQuery(text), codes, answer, prepares: null };
}

/** A batch by the extended protocol that returns one row; `name` of a prepared statement, which is made if `makes` says so. */
export function extended(
  kind: string,
  { name, makes, text, values }: { name: string; makes: boolean; text: string; values: readonly string[] },
  answer: readonly string[],
): Question {
  const bytes = Buffer.concat([
    ...(makes ? [encodeParse(name, text)] : []),
    clientMessage('Bind', '', name, [], values, []),
    encodeDescribe('portal', ''),
    encodeExecute(''),
    SYNC,
  ]);
  const what = `${text} [${values.join(', ')}] as ${JSON.stringify(name)}${makes ? ', new' : ''}`;
  return { kind, what, bytes, codes: makes ? '12TDCZ' : '2TDCZ', answer, prepares: makes && name !== '' ? name : null };
}

/** What is wrong with the reply, or null. A cancelled one is right if its client has asked for that. */
export function wrongWith(question: Question, reply: Reply, mayBeCancelled: boolean): string | null {
  const { codes, answer } = question;
  if (reply.sqlstate === '57014' && mayBeCancelled && reply.codes.endsWith('EZ') && reply.rows.length === 0) return null;
  if (reply.sqlstate === '08006' && isCutShort(question, reply)) return null;
  const right = typeof answer === 'string' ? reply.sqlstate === answer : isRow(answer, reply);
  if (right && reply.codes === codes) return null;
  const rows = reply.rows.map((row) => row.map(shortened).join(', ')).join('; ');
  const error = reply.sqlstate === null ? '' : ` ${reply.sqlstate} ${reply.message}`;
  const due = typeof answer === 'string' ? answer : answer.map(shortened).join(', ');
  return `asked ${question.what}: expected ${codes} (${due}), got ${shortened(reply.codes)} (${rows})${error}`;
}

/** Part of a long reply was with the client already when its replica was killed: nobody can run it again. */
function isCutShort({ kind, answer }: Question, { codes }: Reply): boolean {
  return kind === 'long' && (answer[1]?.length ?? 0) > HELD_BYTES && /^TD?EZ$/.test(codes);
}

function isRow(answer: readonly string[], { sqlstate, rows: [row, ...more] }: Reply): boolean {
  if (sqlstate !== null || row === undefined || more.length > 0) return false;
  return row.length === answer.length && row.every((value, index) => value === answer[index]);
}

function shortened(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 40)}... of ${text.length}`;
}
