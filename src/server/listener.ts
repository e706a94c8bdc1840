import net from 'node:net';
import type { ListenMode } from '../session/state.ts';

/** Connections that the kernel may have accepted before we look at them. Source: as PgBouncer's listen_backlog. */
const BACKLOG = 1024;

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  readonly mode: ListenMode;
}

/** One address that clients connect to. */
export class Listener {
  readonly address: ListenAddress;
  readonly #server: net.Server;

  private constructor(address: ListenAddress, server: net.Server) {
    this.address = address;
    this.#server = server;
  }

  /**
   * Listens; port 0 takes a free one. Rejects with the system's error, EADDRINUSE for instance.
   * @param pauseOnConnect sockets are for another process: nothing is read from them here
   */
  static async open(
    wanted: ListenAddress,
    accept: (socket: net.Socket, mode: ListenMode) => void,
    { pauseOnConnect = false }: { readonly pauseOnConnect?: boolean } = {},
  ): Promise<Listener> {
    const options = { noDelay: true, keepAlive: true, allowHalfOpen: true, pauseOnConnect };
    const server = net.createServer(options, (socket) => accept(socket, wanted.mode));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: wanted.host, port: wanted.port, backlog: BACKLOG }, () => {
        server.off('error', reject);
        resolve();
      });
    });
    const bound = server.address();
    const port = bound !== null && typeof bound === 'object' ? bound.port : wanted.port;
    return new Listener({ ...wanted, port }, server);
  }

  /** Takes no more clients. Those that are there stay. */
  stop(): void {
    this.#server.close();
  }
}
