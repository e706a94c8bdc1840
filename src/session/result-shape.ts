import { sha256 } from '../auth/scram-keys.ts';
import { stringEnd } from '../protocol/bytes.ts';
import { BACKEND } from '../protocol/codes.ts';

/**
 * The shape of a statement's result: a digest of what PostgreSQL compares before it runs a plan that was described once,
 * that is names, types and type modifiers of the columns, not their origin and not the format in which they are sent.
 * Source: RevalidateCachedQuery in plancache.c, equalTupleDescs (since 17 equalRowTypes) in tupdesc.c.
 * @param message a RowDescription or NoData, whole
 */
export function shapeOf(message: Buffer): string {
  if (message[0] !== BACKEND.rowDescription) return NO_ROWS;
  const compared: Buffer[] = [];
  let at = COLUMNS_START;
  while (at < message.length) {
    const nameEnd = stringEnd(message, at, message.length);
    if (nameEnd < 0) break;
    compared.push(message.subarray(at, nameEnd + 1), message.subarray(nameEnd + 1 + TYPE_START, nameEnd + 1 + TYPE_END));
    at = nameEnd + 1 + COLUMN_BYTES;
  }
  return sha256(Buffer.concat(compared)).toString('latin1');
}

const NO_ROWS = 'no rows';

/** Header and number of columns. */
const COLUMNS_START = 7;

/** Behind a column's name: OID of the table, number there; OID, length and modifier of the type; format. */
const TYPE_START = 6;
const TYPE_END = 16;
const COLUMN_BYTES = 18;
