import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../src/demo/ports.ts';
import { samplesOf } from '../regress/metrics-page.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { PgweirProcess } from '../support/pgweir-process.ts';

/** What the questions are about. */
const TABLES = `
  CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL);
  CREATE FUNCTION naps(ms int) RETURNS int LANGUAGE plpgsql STABLE AS
    'BEGIN IF ms > 0 THEN PERFORM pg_sleep(ms / 1000.0); END IF; RETURN ms; END'`;
const QUIET_TIMEOUT_MS = 20_000;
const STATES_IN_USE = ['active', 'quarantined', 'connecting'];

/** A primary with two replicas, and pgweir in a process of its own in front of them. */
export class Site implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly pgweir: PgweirProcess;
  readonly #httpPort: number;

  private constructor(cluster: Cluster, pgweir: PgweirProcess, httpPort: number) {
    this.cluster = cluster;
    this.pgweir = pgweir;
    this.#httpPort = httpPort;
  }

  static async open(shared: boolean): Promise<Site> {
    const cluster = await startCluster({ replicas: 2 });
    try {
      await cluster.primary.query(TABLES);
      await cluster.waitForReplay();
      const httpPort = await freePort('127.0.0.1');
      const yaml = `http: "127.0.0.1:${httpPort}"\npool: { shared_reads: ${shared} }`;
      return new Site(cluster, await PgweirProcess.start(cluster, yaml), httpPort);
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  async metrics(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.#httpPort}/metrics`)).text();
  }

  /** Waits until nothing is in use any more. Returns what still is. */
  async leftovers(): Promise<string[]> {
    const deadline = performance.now() + QUIET_TIMEOUT_MS;
    for (;;) {
      const left = await this.#inUse();
      if (left.length === 0 || performance.now() > deadline) return left;
      await sleep(50);
    }
  }

  async #inUse(): Promise<string[]> {
    const page = await this.metrics();
    const left: string[] = [];
    const note = (what: string, labels: Readonly<Record<string, string>>, value: number) => {
      if (value !== 0) left.push(`${what} ${JSON.stringify(labels)}: ${value}`);
    };
    let idle = 0;
    for (const { labels, value } of samplesOf(page, 'pgweir_backend_connections')) {
      if (STATES_IN_USE.includes(labels.state ?? '')) note('backend connections', labels, value);
      else idle += value;
    }
    for (const { labels, value } of samplesOf(page, 'pgweir_pool_waiters')) note('waiters', labels, value);
    for (const { labels, value } of samplesOf(page, 'pgweir_clients')) note('clients', labels, value);
    const servers = await this.#serverProcesses();
    if (servers !== idle) left.push(`${idle} idle connections, and ${servers} server processes that serve pgweir`);
    return left;
  }

  /** Server processes of clients, but for the monitor's own and this look at them. */
  async #serverProcesses(): Promise<number> {
    const sql = `SELECT count(*)::int AS count FROM pg_stat_activity
      WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name NOT LIKE 'pgweir%'`;
    const counts = await Promise.all(this.cluster.nodes.filter(({ running }) => running).map((node) => node.query(sql)));
    return counts.reduce((sum, [row]) => sum + Number(row?.count), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pgweir[Symbol.asyncDispose]();
    await this.cluster[Symbol.asyncDispose]();
  }
}
