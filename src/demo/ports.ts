import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Below every system's range of ephemeral ports (Linux 32768 and up, macOS 49152 and up): a port from inside that
 * range can be lost to any outgoing connection while its server is stopped for a restart.
 */
const LOWEST = 20_000;
const HIGHEST = 32_000;

/** A TCP port of `host` that is free now. Whoever binds it next must still be ready to find it taken. */
export async function freePort(host: string): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (await isFree(port, host)) return port;
  }
}

/** Whether `port` of `host` can be bound now. */
export async function isFree(port: number, host: string): Promise<boolean> {
  const server = createServer();
  try {
    server.listen({ port, host, exclusive: true });
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
