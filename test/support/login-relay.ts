import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { Authenticator } from '../../src/auth/authentication.ts';
import type { VerifierSource } from '../../src/auth/role-verifier.ts';
import { authRule, type ConfiguredRule } from '../../src/auth/rules.ts';
import { type ConfiguredUser, UserStore } from '../../src/auth/users.ts';
import { type DialedBackend, dialBackend } from '../../src/backend/dial.ts';
import { BackendLoginError } from '../../src/backend/login-error.ts';
import { type BackendTls, loadBackendTls } from '../../src/backend/tls.ts';
import { encodeBackendKeyData, encodeParameterStatus, READY_FOR_QUERY } from '../../src/protocol/backend-encoders.ts';
import { errorResponseFor } from '../../src/protocol/error-response.ts';
import { type AcceptedClient, ClientAcceptor } from '../../src/server/accept.ts';
import type { ListenerTls } from '../../src/server/tls.ts';
import { OperationalError } from '../../src/util/errors.ts';
import { realClock } from '../../src/util/real-clock.ts';
import { Secret } from '../../src/util/secret.ts';

export interface RelayOptions {
  readonly backend?: { readonly host: string; readonly port: number };
  readonly backendTls?: BackendTls;
  readonly users?: readonly ConfiguredUser[];
  readonly source?: VerifierSource | null;
  readonly rules?: readonly Partial<ConfiguredRule>[];
  readonly tls?: ListenerTls | null;
  readonly loginTimeoutMs?: number;
  readonly maxLogins?: number;
}

type Session = Extract<AcceptedClient, { kind: 'session' }>;

/**
 * The smallest proxy there is: the login of pgweir on both sides and nothing but pipes between. For tests of logins by real
 * clients, which need something to talk to afterwards. `await using` it.
 */
export class LoginRelay implements AsyncDisposable {
  readonly host = '127.0.0.1';
  /** What became of each connection, in the order of their ends. */
  readonly outcomes: AcceptedClient[] = [];
  /** What was logged, as JSON. */
  readonly log: string[] = [];
  readonly acceptor: ClientAcceptor;
  readonly #options: RelayOptions;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  readonly #dialed = new Set<DialedBackend>();

  private constructor(options: RelayOptions) {
    const { users = [], source = null, rules = [], tls = null, loginTimeoutMs = 5_000, maxLogins = 100 } = options;
    const saltSecret = Secret.from('salt of the tests');
    const any: ConfiguredRule = { from: null, database: null, user: null, tls: null, method: 'scram-sha-256' };
    const authenticator = new Authenticator({
      rules: rules.map((rule) => authRule({ ...any, ...rule })),
      users: new UserStore({ users, source, saltSecret, clock: realClock }),
      random: randomBytes,
    });
    const telemetry = { log: (...line: unknown[]) => void this.log.push(JSON.stringify(line)) };
    this.acceptor = new ClientAcceptor({ authenticator, tls, clock: realClock, telemetry, loginTimeoutMs, maxLogins });
    this.#options = options;
    this.#server = net.createServer((socket) => void this.#serve(socket));
  }

  static async start(options: RelayOptions): Promise<LoginRelay> {
    const relay = new LoginRelay(options);
    relay.#server.listen(0, relay.host);
    await once(relay.#server, 'listening');
    return relay;
  }

  get port(): number {
    const address = this.#server.address();
    return address !== null && typeof address === 'object' ? address.port : 0;
  }

  /** Clients that are connected. */
  get open(): number {
    return this.#sockets.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.#dialed) socket.destroy();
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(socket: net.Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    const client = await this.acceptor.accept(socket);
    this.outcomes.push(client);
    if (client.kind === 'session') await this.#connect(client);
    else if (client.kind === 'cancel') socket.destroy();
  }

  async #connect(client: Session): Promise<void> {
    const { backend, backendTls } = this.#options;
    if (backend === undefined) {
      client.socket.write(Buffer.concat([encodeBackendKeyData(1, Buffer.alloc(4)), READY_FOR_QUERY.idle]));
      client.socket.resume();
      return;
    }
    try {
      const tls = backendTls ?? loadBackendTls({ mode: 'disable', caFile: null, certFile: null, keyFile: null });
      const dialed = await dialBackend({ ...client, ...backend, tls, timeoutMs: 5_000, clock: realClock });
      this.#dialed.add(dialed);
      join(client, dialed);
    } catch (error) {
      const told = error instanceof OperationalError ? errorResponseFor(error) : Buffer.alloc(0);
      client.socket.end(error instanceof BackendLoginError ? error.response : told);
      client.socket.resume();
    }
  }
}

function join(client: Session, { socket, parameters, processId, secretKey, rest }: DialedBackend): void {
  const reported = [...parameters].map(([name, value]) => encodeParameterStatus(name, value));
  client.socket.write(Buffer.concat([...reported, encodeBackendKeyData(processId, secretKey), READY_FOR_QUERY.idle, rest]));
  socket.onData((chunk) => client.socket.write(Buffer.from(chunk)));
  socket.onClose(() => client.socket.destroySoon());
  client.socket.on('data', (chunk: Buffer) => socket.write(chunk));
  client.socket.on('close', () => socket.destroy());
  if (client.rest.length > 0) socket.write(client.rest);
  client.socket.resume();
  socket.resume();
}
