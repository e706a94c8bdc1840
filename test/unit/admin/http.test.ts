import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type HttpServer, startHttpServer } from '../../../src/admin/http.ts';
import { Readiness } from '../../../src/admin/readiness.ts';
import { realClock } from '../../../src/util/real-clock.ts';
import type { LogFields } from '../../../src/util/telemetry.ts';
import { type AdjustableSources, backend, sources, view } from './fixtures.ts';

let from: AdjustableSources;
let server: HttpServer;
let draining: boolean;
let logged: { event: string; fields: LogFields | undefined }[];

async function start(port: number): Promise<HttpServer> {
  return await startHttpServer({
    host: '127.0.0.1',
    port,
    sources: from,
    readiness: new Readiness({ views: from.views, clock: realClock, needsPrimary: true, draining: () => draining }),
    clock: realClock,
    telemetry: { log: (_level, event, fields) => logged.push({ event, fields }) },
  });
}

beforeEach(async () => {
  from = sources();
  draining = false;
  logged = [];
  server = await start(0);
});

afterEach(() => server.close());

function get(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`http://127.0.0.1:${server.port}${path}`, init);
}

/** Sends bytes as they are and reads until the server closes. */
function raw(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(server.port, '127.0.0.1', () => socket.write(bytes));
    socket.setEncoding('latin1').on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('close', () => resolve(answer)).on('error', reject);
  });
}

describe('what is there', () => {
  test('/metrics is in the format of Prometheus', async () => {
    const response = await get('/metrics');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(await response.text()).toContain('pgweir_backend_up{backend="pg1",role="primary"} 1');
  });

  test('/healthz answers while the process lives, whatever the backends do', async () => {
    from.view = view([]);
    draining = true;
    expect((await get('/healthz')).status).toBe(200);
  });

  test('/readyz follows the topology and says why', async () => {
    expect((await get('/readyz')).status).toBe(200);
    from.view = view([backend(0, { up: false, role: 'unknown', problem: 'unreachable' })]);
    const response = await get('/readyz');
    expect(response.status).toBe(503);
    expect(await response.text()).toBe('no backend is reachable\n');
  });

  test('/readyz refuses while draining', async () => {
    draining = true;
    const response = await get('/readyz');
    expect([response.status, await response.text()]).toEqual([503, 'draining\n']);
  });

  test('/ is a page that loads nothing and is kept by nobody', async () => {
    const response = await get('/');
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'none'; style-src 'sha256-/);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(await response.text()).toContain('pgweir 1.2.3');
  });

  test('a query string does not hide a page', async () => {
    expect((await get('/readyz?verbose')).status).toBe(200);
  });

  test('HEAD is GET without the body', async () => {
    const response = await get('/healthz', { method: 'HEAD' });
    expect(response.status).toBe(200);
    expect(response.headers.get('content-length')).toBe('6');
    expect(await response.text()).toBe('');
  });
});

describe('what is not', () => {
  test.each(['/nothing', '/metrics/', '//metrics', '/../metrics%00'])('%s is 404', async (path) => {
    expect((await get(path)).status).toBe(404);
  });

  test.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('%s is 405 and says what is allowed', async (method) => {
    const response = await get('/metrics', { method });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('GET, HEAD');
  });

  test('a body is refused and ends the connection', async () => {
    const answer = await raw(`GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(1000)}`);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toMatch(/\r\nConnection: close\r\n/i);
  });

  test('headers without end are refused', async () => {
    expect(await raw(`GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /);
  });

  test('what is not HTTP is refused', async () => {
    expect(await raw('\0\0\0\x08\x04\xd2\x16\x2f')).toMatch(/^HTTP\/1\.1 400 /);
  });
});

describe('trouble', () => {
  test('a source that fails gives 500 without its text, and one line in the log', async () => {
    from.clients = () => {
      throw new Error('secret inside');
    };
    const response = await get('/metrics');
    expect([response.status, await response.text()]).toEqual([500, 'internal error\n']);
    expect(logged).toHaveLength(1);
    expect(logged[0]).toMatchObject({ event: 'http_request_failed', fields: { path: '/metrics' } });
  });

  test('a taken port is an error to whoever starts it', async () => {
    await expect(start(server.port)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  test('closing ends connections that are kept alive', async () => {
    const kept = raw('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
    await get('/healthz');
    const other = await start(0);
    await server.close();
    expect(await kept).toMatch(/^HTTP\/1\.1 200 /);
    server = other;
  });
});
