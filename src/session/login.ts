import type { AuthAnswer, Authentication, Authenticator, AuthRequest, AuthStep } from '../auth/authentication.ts';
import type { Credential } from '../auth/credential.ts';
import {
  AUTHENTICATION_CLEARTEXT_PASSWORD,
  AUTHENTICATION_OK,
  encodeAuthenticationMd5,
  encodeAuthenticationSasl,
  encodeAuthenticationSaslContinue,
  encodeAuthenticationSaslFinal,
  encodeNegotiateProtocolVersion,
} from '../protocol/backend-encoders.ts';
import { PROTOCOL_3_2, REQUEST, TLS_HANDSHAKE_RECORD } from '../protocol/codes.ts';
import { errorResponseFor } from '../protocol/error-response.ts';
import { Framer } from '../protocol/framer.ts';
import { decodePassword, decodeSaslInitialResponse, decodeSaslResponse } from '../protocol/frontend-decoders.ts';
import { CLIENT_LOGIN_RULES } from '../protocol/limits.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { decodeStartupPacket, type Startup, StartupFramer } from '../protocol/startup-messages.ts';
import { assert, assertNever } from '../util/assert.ts';
import { OperationalError } from '../util/errors.ts';

/** A client that is logged in. Names and values have one character for each byte. */
export interface ClientLogin {
  readonly user: string;
  readonly database: string;
  /** Startup parameters other than user and database, `replication` included. */
  readonly parameters: ReadonlyMap<string, string>;
  /** Protocol version that both sides speak, as sent (codes.ts): 3.0 to 3.2. */
  readonly protocolVersion: number;
  /** What logs in to backends for it. */
  readonly credential: Credential;
  readonly tls: boolean;
  /** What came behind the last message of the login. */
  readonly rest: Buffer;
}

/** What is to be done next. After everything but the last three, `step` is called again. */
export type LoginStep =
  /** Give `receive` what comes from the client. */
  | { readonly kind: 'read' }
  | { readonly kind: 'send'; readonly bytes: Buffer }
  /** Send `answer`, then begin TLS as the server, on which `received` already came; then call `secured`. */
  | { readonly kind: 'start tls'; readonly direct: boolean; readonly answer: Buffer; readonly received: Buffer }
  /** Send `bytes`; the login is over. */
  | { readonly kind: 'accepted'; readonly bytes: Buffer; readonly login: ClientLogin }
  | { readonly kind: 'cancel'; readonly processId: number; readonly secretKey: Buffer }
  /** Send `bytes` and close. `reason` is for the log. */
  | { readonly kind: 'refused'; readonly bytes: Buffer; readonly error: LoginError; readonly reason: string };

export type LoginError = OperationalError | ProtocolError;

export interface LoginOptions {
  readonly authenticator: Authenticator;
  /** The client's address, as the socket reports it. */
  readonly address: string;
  /** Whether this listener has a certificate, and whether it takes clients that do not use it. */
  readonly tls: 'none' | 'offered' | 'required';
}

const ANSWER = { accepted: Buffer.from('S'), refused: Buffer.from('N') } as const;
const NOTHING = Buffer.alloc(0);

/** Longest name in bytes. Source: NAMEDATALEN in src/include/pg_config_manual.h. */
const MAX_NAME_BYTES = 63;

/**
 * The login of a client, from its first byte to AuthenticationOk or the refusal: bytes in, decisions out. It touches no
 * socket; asynchronous it is because keys are derived on other threads and verifiers are asked for.
 *
 *     startup packets: SSLRequest, GSSENCRequest, then CancelRequest or StartupMessage
 *       -> authentication: what the rules ask
 *
 * Until a client is known it may only say little: startup packets are at most 10 000 bytes, answers 65 535.
 * Source: ProcessStartupPacket in src/backend/tcop/backend_startup.c, ClientAuthentication in src/backend/libpq/auth.c.
 */
export class LoginMachine {
  readonly #options: LoginOptions;
  readonly #startupFramer = new StartupFramer();
  readonly #framer = new Framer(CLIENT_LOGIN_RULES);
  /** What the first byte of all said. */
  #beginning: 'not yet' | 'startup packet' | 'direct tls' = 'not yet';
  #tls = false;
  #endPointHash: Buffer | null = null;
  /** SSLRequest and GSSENCRequest are each answered once. */
  #tlsAnswered = false;
  #gssAnswered = false;
  #startup: Startup | null = null;
  #names = { user: '', database: '' };
  #authentication: Authentication | null = null;
  #asked: AuthRequest['kind'] | null = null;

  constructor(options: LoginOptions) {
    this.#options = options;
  }

  /** Takes bytes of the client; they must stay as they are. */
  receive(chunk: Buffer): void {
    if (this.#beginning === 'not yet') {
      this.#beginning = chunk[0] === TLS_HANDSHAKE_RECORD ? 'direct tls' : 'startup packet';
    }
    if (this.#startup === null) this.#startupFramer.push(chunk);
    else this.#framer.push(chunk);
  }

  /** TLS has begun. @param endPointHash of our certificate, where it has one */
  secured(endPointHash: Buffer | null): void {
    this.#tls = true;
    this.#endPointHash = endPointHash;
  }

  /** Whom it is about, as far as that is known. For the log. */
  get identity(): { readonly user: string; readonly database: string } | null {
    return this.#startup === null ? null : this.#names;
  }

  async step(): Promise<LoginStep> {
    try {
      return this.#startup === null ? this.#stepStartup() : await this.#stepAuthentication(this.#startup);
    } catch (error) {
      if (!(error instanceof OperationalError) && !(error instanceof ProtocolError)) throw error;
      return refused(error, error.message);
    }
  }

  #stepStartup(): LoginStep {
    if (this.#beginning === 'direct tls' && !this.#tlsAnswered) return this.#directTls();
    const packet = this.#startupFramer.next();
    if (packet === null) return { kind: 'read' };
    const decoded = decodeStartupPacket(packet);
    switch (decoded.kind) {
      case 'ssl request':
        return this.#answerSslRequest();
      case 'gss encryption request':
        return this.#answerGssRequest();
      case 'cancel request':
        return { kind: 'cancel', processId: decoded.processId, secretKey: decoded.key };
      case 'startup':
        return this.#begin(decoded.startup);
      default:
        return assertNever(decoded, 'startup packet');
    }
  }

  #directTls(): LoginStep {
    if (this.#options.tls === 'none') {
      // There is nobody to tell: the client would take an ErrorResponse for broken TLS.
      const text = 'direct SSL connection request, but SSL is not supported';
      return { ...refused(new OperationalError('protocol_violation', text), text), bytes: NOTHING };
    }
    this.#tlsAnswered = true;
    this.#gssAnswered = true;
    return { kind: 'start tls', direct: true, answer: NOTHING, received: this.#startupFramer.takeRemainder() };
  }

  #answerSslRequest(): LoginStep {
    if (this.#tlsAnswered) throw unsupportedRequest(REQUEST.ssl);
    this.#refuseStuffing('SSL request');
    this.#tlsAnswered = true;
    if (this.#options.tls === 'none') return { kind: 'send', bytes: ANSWER.refused };
    this.#gssAnswered = true;
    return { kind: 'start tls', direct: false, answer: ANSWER.accepted, received: NOTHING };
  }

  #answerGssRequest(): LoginStep {
    if (this.#gssAnswered) throw unsupportedRequest(REQUEST.gssEncryption);
    this.#refuseStuffing('GSSAPI encryption request');
    this.#gssAnswered = true;
    return { kind: 'send', bytes: ANSWER.refused };
  }

  /** Bytes that came before there was an answer were not encrypted, whatever they claim to be (CVE-2021-23214). */
  #refuseStuffing(behind: string): void {
    if (this.#startupFramer.pending === 0) return;
    throw new OperationalError('plaintext_behind_tls', `received unencrypted data after ${behind}`, {
      detail: 'This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.',
    });
  }

  #begin(startup: Startup): LoginStep {
    this.#startup = startup;
    this.#names = namesOf(startup);
    this.#framer.push(this.#startupFramer.takeRemainder());
    if (startup.version <= PROTOCOL_3_2 && startup.protocolOptions.length === 0) return { kind: 'send', bytes: NOTHING };
    const version = Math.min(startup.version, PROTOCOL_3_2);
    return { kind: 'send', bytes: encodeNegotiateProtocolVersion(version, startup.protocolOptions) };
  }

  async #stepAuthentication(startup: Startup): Promise<LoginStep> {
    if (this.#authentication === null) {
      this.#check(startup);
      const origin = { address: this.#options.address, ...this.#names, tls: this.#tls };
      this.#authentication = this.#options.authenticator.begin(origin, this.#endPointHash);
      return this.#follow(startup, await this.#authentication.start());
    }
    if (!this.#framer.next()) return { kind: 'read' };
    return this.#follow(startup, await this.#authentication.answer(this.#readAnswer()));
  }

  #check({ parameters }: Startup): void {
    if (this.#names.user === '') {
      throw new OperationalError('invalid_authorization', 'no PostgreSQL user name specified in startup packet');
    }
    if (this.#options.tls === 'required' && !this.#tls) {
      throw new OperationalError('tls_required', 'this server takes encrypted connections only', {
        hint: 'Connect with sslmode=require.',
      });
    }
    const replication = parameters.get('replication');
    if (replication === undefined || isReplicationValue(replication)) return;
    throw new OperationalError('invalid_parameter_value', `invalid value for parameter "replication": "${replication}"`, {
      hint: 'Valid values are: "false", 0, "true", 1, "database".',
    });
  }

  #readAnswer(): AuthAnswer {
    const { buffer, start, end } = this.#framer;
    switch (this.#asked) {
      case 'password':
      case 'md5':
        return { kind: 'password', text: decodePassword(buffer, start, end) };
      case 'sasl': {
        const { mechanism, dataSlice } = decodeSaslInitialResponse(buffer, start, end);
        return { kind: 'sasl initial', mechanism, data: dataSlice?.toString('latin1') ?? null };
      }
      case 'sasl continue':
        return { kind: 'sasl response', data: decodeSaslResponse(buffer, start, end).toString('latin1') };
      default:
        assert(this.#asked !== null, 'an answer without a question');
        return assertNever(this.#asked, 'authentication request');
    }
  }

  #follow(startup: Startup, step: AuthStep): LoginStep {
    switch (step.kind) {
      case 'ask':
        this.#asked = step.request.kind;
        return { kind: 'send', bytes: encodeRequest(step.request) };
      case 'refused':
        return refused(step.error, step.reason);
      case 'accepted': {
        const final = step.saslFinal === null ? NOTHING : Buffer.from(step.saslFinal, 'latin1');
        const bytes =
          final === NOTHING ? AUTHENTICATION_OK : Buffer.concat([encodeAuthenticationSaslFinal(final), AUTHENTICATION_OK]);
        return { kind: 'accepted', bytes, login: this.#login(startup, step.credential) };
      }
      default:
        return assertNever(step, 'authentication step');
    }
  }

  #login(startup: Startup, credential: Credential): ClientLogin {
    const parameters = new Map(startup.parameters);
    parameters.delete('user');
    parameters.delete('database');
    return {
      ...this.#names,
      parameters,
      protocolVersion: Math.min(startup.version, PROTOCOL_3_2),
      credential,
      tls: this.#tls,
      rest: this.#framer.takeRemainder(),
    };
  }
}

/** Longer names are cut as PostgreSQL cuts them: by bytes. The database is named like the user unless said otherwise. */
function namesOf({ parameters }: Startup): { user: string; database: string } {
  const user = parameters.get('user') ?? '';
  const database = parameters.get('database') || user;
  return { user: user.slice(0, MAX_NAME_BYTES), database: database.slice(0, MAX_NAME_BYTES) };
}

function encodeRequest(request: AuthRequest): Buffer {
  switch (request.kind) {
    case 'password':
      return AUTHENTICATION_CLEARTEXT_PASSWORD;
    case 'md5':
      return encodeAuthenticationMd5(request.salt);
    case 'sasl':
      return encodeAuthenticationSasl(request.mechanisms);
    case 'sasl continue':
      return encodeAuthenticationSaslContinue(Buffer.from(request.data, 'latin1'));
    default:
      return assertNever(request, 'authentication request');
  }
}

/** The client is sent away, so whatever it is, it is fatal. */
function refused(error: LoginError, reason: string): Extract<LoginStep, { kind: 'refused' }> {
  const { sqlstate, message, detail, hint } = error;
  return { kind: 'refused', bytes: errorResponseFor({ severity: 'FATAL', sqlstate, message, detail, hint }), error, reason };
}

/** A request out of place is taken for the protocol version that its number would be, as in PostgreSQL. */
function unsupportedRequest(code: number): ProtocolError {
  const text = `unsupported frontend protocol ${code >>> 16}.${code & 0xffff}: server supports 3.0 to 3.2`;
  return new ProtocolError('unsupported_protocol', text);
}

/** `database`, or what PostgreSQL takes for a boolean. Source: parse_bool_with_len in src/backend/utils/adt/bool.c. */
function isReplicationValue(value: string): boolean {
  const text = value.toLowerCase();
  if (value === 'database' || text === '0' || text === '1') return true;
  if (text.length >= 2 && ('on' === text || 'off'.startsWith(text))) return true;
  return text.length >= 1 && ['true', 'false', 'yes', 'no'].some((word) => word.startsWith(text));
}
