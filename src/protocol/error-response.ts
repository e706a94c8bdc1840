import { toWireText } from '../util/wire-text.ts';
import { allocateMessage, byteAt, stringEnd, textOf, writeString } from './bytes.ts';
import { BACKEND } from './codes.ts';

/**
 * ErrorResponse and NoticeResponse: the same fields in the same coat. Source: protocol documentation, "Error and Notice
 * Message Fields"; send_message_to_frontend in src/backend/utils/error/elog.c.
 */

/** Field letters by name. */
const FIELD_CODES = {
  severity: 0x53,
  severityNonLocalized: 0x56,
  sqlstate: 0x43,
  message: 0x4d,
  detail: 0x44,
  hint: 0x48,
  position: 0x50,
  internalPosition: 0x70,
  internalQuery: 0x71,
  where: 0x57,
  schema: 0x73,
  table: 0x74,
  column: 0x63,
  dataType: 0x64,
  constraint: 0x6e,
  file: 0x46,
  line: 0x4c,
  routine: 0x52,
} as const;

export type FieldName = keyof typeof FIELD_CODES;

export type ErrorFields = Readonly<Partial<Record<FieldName, string>>>;

const FIELD_NAMES: ReadonlyMap<number, FieldName> = new Map(
  (Object.keys(FIELD_CODES) as FieldName[]).map((name) => [FIELD_CODES[name], name]),
);

/** What pgweir needs to know of an error of its own to tell it; OperationalError and ProtocolError are such. */
export interface ReportableError {
  readonly severity: string;
  readonly sqlstate: string;
  readonly message: string;
  readonly detail: string | null;
  readonly hint: string | null;
}

/** The ErrorResponse for an error of pgweir's own. Its text may be anything: a report must not fail. */
export function errorResponseFor(error: ReportableError): Buffer {
  return encode(BACKEND.errorResponse, {
    severity: error.severity,
    severityNonLocalized: error.severity,
    sqlstate: error.sqlstate,
    message: error.message,
    ...(error.detail === null ? {} : { detail: error.detail }),
    ...(error.hint === null ? {} : { hint: error.hint }),
  });
}

/** An error as PostgreSQL would word it, when pgweir answers in its place. */
export function encodeErrorResponse(fields: ErrorFields): Buffer {
  return encode(BACKEND.errorResponse, withBothSeverities(fields));
}

export function encodeNoticeResponse(fields: ErrorFields): Buffer {
  return encode(BACKEND.noticeResponse, withBothSeverities(fields));
}

/**
 * Reads the fields of an ErrorResponse or NoticeResponse, or of its beginning when the piece is not all of it. Never
 * throws and never reads past `end`, whatever a backend sends: a missing field is absent, of one sent twice the first
 * stands, an unknown one is passed over, one that does not end ends the list.
 */
export function decodeErrorFields(buffer: Buffer, start: number, end: number): ErrorFields {
  const fields: Partial<Record<FieldName, string>> = {};
  let at = start + 5;
  while (at < end) {
    const code = byteAt(buffer, at);
    if (code === 0) break;
    const valueEnd = stringEnd(buffer, at + 1, end);
    if (valueEnd < 0) break;
    const name = FIELD_NAMES.get(code);
    if (name !== undefined) fields[name] ??= textOf(buffer, at + 1, valueEnd);
    at = valueEnd + 1;
  }
  return fields;
}

function withBothSeverities(fields: ErrorFields): ErrorFields {
  const severity = fields.severity ?? 'ERROR';
  return { severity, severityNonLocalized: severity, ...fields };
}

function encode(type: number, fields: ErrorFields): Buffer {
  const list: [code: number, text: string][] = [];
  let bytes = 1;
  for (const [name, text] of Object.entries(fields) as [FieldName, string][]) {
    const safe = safeText(text);
    list.push([FIELD_CODES[name], safe]);
    bytes += 1 + safe.length + 1;
  }
  const message = allocateMessage(type, bytes);
  let at = 5;
  for (const [code, text] of list) {
    message[at] = code;
    at = writeString(message, at + 1, text);
  }
  message[at] = 0;
  return message;
}

/** Zeros become question marks; text of the program's own with characters beyond one byte becomes UTF-8. */
function safeText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: zero bytes are what is looked for.
  const whole = text.replace(/\u0000/g, '?');
  return /[\u0100-\uffff]/.test(whole) ? toWireText(whole) : whole;
}
