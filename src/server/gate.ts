import { randomBytes } from 'node:crypto';
import type net from 'node:net';
import type { BackendConnection } from '../backend/connection.ts';
import { BackendLoginError } from '../backend/login-error.ts';
import type { Leases } from '../pool/leases.ts';
import { type Partition, type Partitions, settingsAtStart } from '../pool/partition.ts';
import { encodeBackendKeyData, encodeParameterStatus, READY_FOR_QUERY } from '../protocol/backend-encoders.ts';
import { PROTOCOL_3_2 } from '../protocol/codes.ts';
import { errorResponseFor, type ReportableError } from '../protocol/error-response.ts';
import type { Origin, SessionLimits, SessionParts } from '../session/parts.ts';
import type { SessionPolicy } from '../session/router.ts';
import type { ListenMode } from '../session/state.ts';
import type { View } from '../topology/view.ts';
import { errorOf, OperationalError } from '../util/errors.ts';
import { Lru } from '../util/lru.ts';
import type { Measures } from '../util/measures.ts';
import type { Telemetry } from '../util/telemetry.ts';
import type { AcceptedClient, ClientAcceptor } from './accept.ts';
import type { Canceller } from './canceller.ts';
import { Clients, type ProcessShare, slotOf } from './clients.ts';
import { ReplicationRelay, type ReplicationRelayParts } from './replication-relay.ts';
import { SessionClient, type SessionClientParts, type SessionTimeouts } from './session-client.ts';
import { sortParameters } from './startup-parameters.ts';

/** What of the configuration clients are served by; read anew for each client. */
export interface ServingRules {
  readonly limits: SessionLimits & SessionTimeouts & { readonly clients: number; readonly clientsPerUser: number | null };
  readonly sessionPool: boolean;
  readonly sharedReads: boolean;
  readonly preparedReads: boolean;
  policy(user: string, database: string): SessionPolicy;
}

/** The other processes that serve clients, at the same addresses. */
export interface Siblings {
  readonly share: ProcessShare;
  /** Has a cancel request seen to by the process that gave out this key; resolves when it was passed on. */
  cancel(processId: number, secretKey: Buffer): Promise<void>;
}

export interface GateParts extends Omit<SessionClientParts, 'timeouts' | 'cancelOn' | 'gone'> {
  readonly acceptor: () => ClientAcceptor;
  readonly rules: () => ServingRules;
  readonly partitions: Partitions;
  readonly leases: (partition: Partition) => Leases;
  readonly view: () => View;
  readonly canceller: Canceller;
  /** Null: there are none. */
  readonly siblings: Siblings | null;
  /** The parts of a session that are its database's. */
  readonly forDatabase: (
    database: string,
  ) => Pick<SessionParts, 'topology' | 'statements' | 'registry' | 'speeds' | 'lifts' | 'random'>;
  readonly replication: Omit<ReplicationRelayParts, 'gone'>;
  readonly measures: Measures;
  readonly telemetry: Telemetry;
}

type Login = Extract<AcceptedClient, { readonly kind: 'session' }>;

/** Hosts and databases whose latest work is remembered for clients to come. Ours. */
const MAX_ORIGINS = 10_000;

/** Where clients come in: from an accepted socket to a session that serves it. */
export class Gate {
  readonly clients: Clients<SessionClient | ReplicationRelay>;
  readonly #parts: GateParts;
  readonly #origins = new Lru<string, Origin>(MAX_ORIGINS);
  #draining = false;
  #arriving = 0;

  constructor(parts: GateParts) {
    this.#parts = parts;
    this.clients = new Clients(parts.siblings?.share);
  }

  /** Clients that are logging in. */
  get arriving(): number {
    return this.#arriving;
  }

  /** Takes an accepted socket. */
  accept(socket: net.Socket, mode: ListenMode): void {
    this.#parts.measures.clientsAccepted++;
    void this.#serve(socket, mode);
  }

  /** No client stays longer than its transaction. */
  drain(): void {
    this.#draining = true;
    for (const client of this.clients) client.drain();
  }

  /** Looks at everybody's timeouts. */
  tick(nowMs: number): void {
    for (const client of this.clients) client.tick(nowMs);
  }

  async #serve(socket: net.Socket, mode: ListenMode): Promise<void> {
    const { measures, clock, telemetry } = this.#parts;
    const began = clock.now();
    this.#arriving++;
    try {
      const accepted = await this.#parts.acceptor().accept(socket);
      if (accepted.kind === 'cancel') await this.#cancelFor(accepted);
      else if (accepted.kind === 'closed') measures.loginFailures.inc(accepted.reason);
      else {
        await this.#admit(accepted, mode);
        measures.loginTime.observe((clock.now() - began) / 1000);
      }
    } catch (error) {
      telemetry.log('error', 'bug', { error: errorOf(error) });
      socket.destroy();
    } finally {
      this.#arriving--;
    }
  }

  /** A cancel request for one of the clients here came. Resolves when its backend has been told. */
  async cancel(processId: number, secretKey: Buffer): Promise<void> {
    const client = this.clients.withKey(processId, secretKey);
    if (client === null) this.#parts.measures.cancels.inc('unknown key');
    else await client.cancel();
  }

  /** The socket is closed when the request has done its work here or elsewhere: what its client sends next is not meant. */
  async #cancelFor({ socket, processId, secretKey }: Extract<AcceptedClient, { readonly kind: 'cancel' }>): Promise<void> {
    const { siblings } = this.#parts;
    const isOurs = siblings === null || slotOf(processId, siblings.share.slots) === siblings.share.slot;
    if (isOurs) await this.cancel(processId, secretKey);
    else {
      this.#parts.measures.cancels.inc('passed on');
      await siblings.cancel(processId, secretKey);
    }
    this.#sendAway(socket, '');
  }

  /** Everything between AuthenticationOk and the first ReadyForQuery. */
  async #admit(login: Login, mode: ListenMode): Promise<void> {
    const { socket } = login;
    try {
      const rules = this.#parts.rules();
      if (this.#draining) throw new OperationalError('shutting_down', 'the system is shutting down');
      this.clients.checkLimits(login.user, rules.limits);
      const sorted = sortParameters(login.parameters);
      if (sorted.replication !== null) {
        await this.#admitReplication(login);
        return;
      }
      const key = { user: login.user, database: login.database, parameters: sorted.backend };
      const partition = this.#parts.partitions.get(key, login.credential, sorted.applicationName);
      const leases = this.#parts.leases(partition);
      const reported = partition.reported ?? (await this.#firstReport(partition, leases, mode));
      if (socket.destroyed) return;
      this.#begin(login, mode, { partition, leases, reported, own: sorted.own, applicationName: sorted.applicationName });
    } catch (error) {
      this.#refuse(socket, error);
    }
  }

  #begin(
    login: Login,
    mode: ListenMode,
    of: {
      readonly partition: Partition;
      readonly leases: Leases;
      readonly reported: ReadonlyMap<string, string>;
      readonly own: ReadonlyMap<string, string>;
      readonly applicationName: string;
    },
  ): void {
    const parts = this.#parts;
    const rules = parts.rules();
    // Checked again: others may have come while the first report was waited for.
    this.clients.checkLimits(login.user, rules.limits);
    const identity = {
      user: login.user,
      processId: this.clients.newProcessId(),
      secretKey: randomBytes(login.protocolVersion >= PROTOCOL_3_2 ? SECRET_BYTES : SECRET_BYTES_3_0),
    };
    const client: SessionClient = new SessionClient(
      login.socket,
      identity,
      {
        turn: parts.turn,
        clock: parts.clock,
        measures: parts.measures,
        telemetry: parts.telemetry,
        timeouts: () => parts.rules().limits,
        cancelOn: (connection: BackendConnection) => parts.canceller.cancel(connection),
        gone: () => this.clients.remove(client),
      },
      {
        ...parts.forDatabase(login.database),
        leases: of.leases,
        clock: parts.clock,
        measures: parts.measures,
        policy: rules.policy(login.user, login.database),
      },
      {
        mode,
        origin: this.#originOf(login),
        baseSettings: settingsAtStart(of.applicationName),
        reported: of.reported,
        own: of.own,
        sessionPool: rules.sessionPool,
        sharedReads: rules.sharedReads,
        preparedReads: rules.preparedReads,
        limits: rules.limits,
      },
      of.partition,
    );
    this.clients.add(client);
    parts.measures.clientsLoggedIn++;
    client.start(greeting(of.reported, mode, of.applicationName, identity), login.rest);
  }

  #originOf({ socket, database }: Login): Origin {
    const key = `${socket.remoteAddress} ${database}`;
    let origin = this.#origins.get(key);
    if (origin === undefined) {
      origin = { lastPrimaryMs: Number.NEGATIVE_INFINITY };
      this.#origins.set(key, origin);
    }
    // What the host may have done through one of the others is not known here: it was done before now.
    if (this.#parts.siblings !== null) origin.lastPrimaryMs = this.#parts.clock.now();
    return origin;
  }

  async #admitReplication(login: Login): Promise<void> {
    const relay: ReplicationRelay = await ReplicationRelay.open(
      login,
      { processId: this.clients.newProcessId(), secretKey: randomBytes(SECRET_BYTES_3_0) },
      { ...this.#parts.replication, gone: () => this.clients.remove(relay) },
    );
    if (relay.closed) return;
    this.clients.add(relay);
    this.#parts.measures.clientsLoggedIn++;
  }

  /** Opens the first connection of a partition, to learn what the server reports to such a client. */
  async #firstReport(partition: Partition, leases: Leases, mode: ListenMode): Promise<ReadonlyMap<string, string>> {
    const { view } = this.#parts;
    let failure: unknown = new OperationalError('no_primary', 'no backend is available');
    for (const backend of candidates(view(), mode)) {
      try {
        await new Promise<void>((resolve, reject) => {
          const waiter = {
            granted: (connection: BackendConnection) => {
              leases.give(connection);
              resolve();
            },
            refused: reject,
          };
          leases.wait(backend, waiter, 'any');
        });
        if (partition.reported !== null) return partition.reported;
      } catch (error) {
        failure = error;
        if (!isWorthAnotherTry(error)) break;
      }
    }
    throw failure;
  }

  #refuse(socket: net.Socket, error: unknown): void {
    const { measures, telemetry } = this.#parts;
    if (error instanceof BackendLoginError) {
      measures.loginFailures.inc('refused by the backend');
      this.#sendAway(socket, error.response);
    } else {
      const reportable = asReportable(error);
      measures.loginFailures.inc(reportable instanceof OperationalError ? reportable.kind : 'internal');
      telemetry.log('warn', 'login_refused', { message: reportable.message, error: error instanceof Error ? error : undefined });
      this.#sendAway(socket, errorResponseFor(fatal(reportable)));
    }
  }

  /** What still comes is passed over, so that it does not reset the connection before the client has read the last word. */
  #sendAway(socket: net.Socket, lastWord: Buffer | ''): void {
    socket.end(lastWord);
    socket.resume();
    this.#parts.clock.after(LINGER_MS, () => socket.destroy());
  }
}

/** Bytes of a client's cancel key: 4 for protocol 3.0; 3.2 allows up to 256, and PostgreSQL 18 gives 32. */
const SECRET_BYTES_3_0 = 4;
const SECRET_BYTES = 32;

/** How long a refused client may take to read why. Ours. */
const LINGER_MS = 1_000;

/** Backends to log in to first, best first. */
function candidates(view: View, mode: ListenMode): number[] {
  const replicas = view.backends.filter(({ role, up }) => role === 'replica' && up).map(({ index }) => index);
  const primary = view.primary === null ? [] : [view.primary];
  return mode === 'read-only' ? [...replicas, ...primary] : [...primary, ...replicas];
}

/** Another backend may take a client that this one did not: it is down, starting, or full. */
function isWorthAnotherTry(error: unknown): boolean {
  if (error instanceof BackendLoginError) return error.sqlstate.startsWith('57P') || error.sqlstate === '53300';
  return error instanceof OperationalError && error.kind !== 'backend_login_failed';
}

function asReportable(error: unknown): ReportableError {
  if (error instanceof OperationalError) return error;
  return new OperationalError('internal', 'internal error of pgweir', { cause: error });
}

/** A login that fails ends the connection, whatever the error would be later. */
function fatal(error: ReportableError): ReportableError {
  return {
    severity: 'FATAL',
    sqlstate: error.sqlstate,
    message: error.message,
    detail: error.detail,
    hint: error.hint,
  };
}

/** ParameterStatus of everything the server reports, BackendKeyData, ReadyForQuery. */
function greeting(
  reported: ReadonlyMap<string, string>,
  mode: ListenMode,
  applicationName: string,
  identity: { readonly processId: number; readonly secretKey: Buffer },
): Buffer {
  const parameters = new Map(reported);
  const standby = mode === 'read-only' ? 'on' : 'off';
  parameters.set('in_hot_standby', standby);
  parameters.set('application_name', applicationName);
  if (mode === 'read-only') parameters.set('default_transaction_read_only', 'on');
  return Buffer.concat([
    ...[...parameters].map(([name, value]) => encodeParameterStatus(name, value)),
    encodeBackendKeyData(identity.processId, identity.secretKey),
    READY_FOR_QUERY.idle,
  ]);
}
