/**
 * The HTTP side: metrics, health, readiness and a page for people. It shares its process with the forwarding path, so it is
 * bounded everywhere: few connections, small headers, no bodies, short lives. It holds no secret and takes no command.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../util/clock.ts';
import type { Telemetry } from '../util/telemetry.ts';
import { Metrics } from './metrics.ts';
import { PAGE_POLICY, page } from './page.ts';
import type { AdminSources } from './ports.ts';
import type { Readiness } from './readiness.ts';

const LIMITS = {
  maxHeaderSize: 8 * 1024,
  headersTimeout: 5_000,
  requestTimeout: 5_000,
  keepAliveTimeout: 30_000,
  connectionsCheckingInterval: 1_000,
} as const;

/** A scraper, a balancer and some people: each needs one. */
const MAX_CONNECTIONS = 64;
const MAX_REQUESTS_PER_CONNECTION = 1_000;
/** A peer that reads nothing for so long is gone. */
const SOCKET_TIMEOUT_MS = 60_000;

export interface HttpOptions {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly sources: AdminSources;
  readonly readiness: Pick<Readiness, 'problem'>;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** Brings the sources up to date before they are read, where they are not by themselves. */
  readonly refresh?: () => Promise<void>;
}

export interface HttpServer {
  /** The port that is listened on. */
  readonly port: number;
  /** Ends all connections and resolves when the port is free. */
  close(): Promise<void>;
}

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Starts to listen. Rejects with the system's error when the address cannot be had. */
export async function startHttpServer(options: HttpOptions): Promise<HttpServer> {
  const pages = new Pages(options);
  const server = createServer(LIMITS, (request, response) => handle(request, response, pages, options.telemetry));
  server.maxConnections = MAX_CONNECTIONS;
  server.maxRequestsPerSocket = MAX_REQUESTS_PER_CONNECTION;
  server.setTimeout(SOCKET_TIMEOUT_MS);
  await listen(server, options);
  const { port } = server.address() as AddressInfo;
  return { port, close: () => close(server) };
}

function listen(server: Server, { host, port }: HttpOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** Each path with what it says. */
class Pages {
  readonly #options: HttpOptions;
  readonly #metrics: Metrics;
  readonly #startedMs: number;

  constructor(options: HttpOptions) {
    this.#options = options;
    this.#metrics = new Metrics(options.sources);
    this.#startedMs = options.clock.now();
  }

  /** What is at the path, or null. */
  at(path: string): (() => Reply | Promise<Reply>) | null {
    switch (path) {
      case '/':
        return () => this.#page();
      case '/metrics':
        return () => this.#scrape();
      case '/healthz':
        return () => plain(200, 'alive');
      case '/readyz':
        return () => this.#ready();
      default:
        return null;
    }
  }

  async #page(): Promise<Reply> {
    await this.#options.refresh?.();
    const { sources, readiness, clock } = this.#options;
    const uptimeSeconds = (clock.now() - this.#startedMs) / 1000;
    return {
      status: 200,
      type: 'text/html; charset=utf-8',
      body: page(sources, { uptimeSeconds, problem: readiness.problem() }),
    };
  }

  async #scrape(): Promise<Reply> {
    await this.#options.refresh?.();
    return { status: 200, type: this.#metrics.contentType, body: await this.#metrics.text() };
  }

  #ready(): Reply {
    const problem = this.#options.readiness.problem();
    return problem === null ? plain(200, 'ready') : plain(503, problem);
  }
}

function plain(status: number, line: string): Reply {
  return { status, type: 'text/plain; charset=utf-8', body: `${line}\n` };
}

function handle(request: IncomingMessage, response: ServerResponse, pages: Pages, telemetry: Telemetry): void {
  answer(request, pages)
    .catch((error: unknown) => {
      telemetry.log('error', 'http_request_failed', {
        path: pathOf(request),
        error: error instanceof Error ? error : String(error),
      });
      return plain(500, 'internal error');
    })
    .then((reply) => send(request, response, reply));
}

async function answer(request: IncomingMessage, pages: Pages): Promise<Reply> {
  if (hasBody(request)) return plain(413, 'no body is taken here');
  const read = pages.at(pathOf(request));
  if (read === null) return plain(404, 'not found');
  if (request.method !== 'GET' && request.method !== 'HEAD') return plain(405, 'only GET and HEAD');
  return await read();
}

function send(request: IncomingMessage, response: ServerResponse, { status, type, body }: Reply): void {
  response.setHeader('Content-Type', type);
  response.setHeader('Content-Length', Buffer.byteLength(body));
  response.setHeader('Cache-Control', 'no-store');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Content-Security-Policy', PAGE_POLICY);
  if (status === 405) response.setHeader('Allow', 'GET, HEAD');
  // What follows an unread body on the connection cannot be told from it.
  if (hasBody(request)) response.shouldKeepAlive = false;
  response.writeHead(status).end(body);
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '').split('?', 1)[0] ?? '';
}
