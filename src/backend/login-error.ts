import { decodeErrorFields, type ErrorFields } from '../protocol/error-response.ts';

/** A backend refused a login with an ErrorResponse: 3D000, 53300, 28P01, 57P03... */
export class BackendLoginError extends Error {
  override readonly name = 'BackendLoginError';
  /** The whole ErrorResponse as it came, to be relayed. */
  readonly response: Buffer;
  /** XX000 when the backend gave none. */
  readonly sqlstate: string;
  readonly fields: ErrorFields;
  /**
   * False: refused before the backend accepted the credential, so with 28P01 or 28000 it is the credential or the
   * backend's own rules that it did not like. True: known, but not let in (no such database, too many connections).
   */
  readonly authenticated: boolean;
  /** The connection was encrypted. */
  readonly tls: boolean;

  /** @param response the whole message with its header */
  constructor(response: Buffer, where: { readonly authenticated: boolean; readonly tls: boolean }) {
    const fields = decodeErrorFields(response, 0, response.length);
    super(fields.message ?? 'the backend refused the login without a message');
    this.response = response;
    this.fields = fields;
    this.sqlstate = fields.sqlstate ?? 'XX000';
    this.authenticated = where.authenticated;
    this.tls = where.tls;
  }

  /** The backend did not take the credential that pgweir has: it may be out of date. */
  get credentialRefused(): boolean {
    return !this.authenticated && this.sqlstate === '28P01';
  }
}
