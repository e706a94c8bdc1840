import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type PostgresNode, startCluster } from '../support/cluster.ts';

const inRecovery = async (node: PostgresNode) => (await node.query('SELECT pg_is_in_recovery() AS yes'))[0]?.yes;
const countOf = async (node: PostgresNode) => (await node.query('SELECT count(*)::int AS n FROM t'))[0]?.n;

describe('the cluster that tests stand on', () => {
  it('is a primary with streaming standbys that survive stop, kill, pause and a promotion', async () => {
    await using cluster = await startCluster({ replicas: 2 });
    const { primary, replicas } = cluster;
    const [first, second] = replicas;
    if (first === undefined || second === undefined) throw new Error('two replicas were asked for');
    expect(await Promise.all(cluster.nodes.map(inRecovery))).toEqual([false, true, true]);

    await primary.query('CREATE TABLE t AS SELECT generate_series(1, 10)');
    await cluster.waitForReplay();
    expect(await Promise.all(cluster.nodes.map(countOf))).toEqual([10, 10, 10]);

    await first.kill();
    await expect(first.query('SELECT 1')).rejects.toThrow('ECONNREFUSED');
    await second.stop('fast');
    await primary.query('INSERT INTO t VALUES (11)');
    await Promise.all([first.start(), second.start()]);
    await cluster.waitForReplay();
    expect(await Promise.all(replicas.map(countOf))).toEqual([11, 11]);

    first.pause();
    const answer = first.query('SELECT 1 AS one');
    expect(await Promise.race([answer, sleep(200, 'silence')])).toBe('silence');
    first.resume();
    expect(await answer).toEqual([{ one: 1 }]);

    await primary.stop('fast');
    await first.promote();
    await second.follow(first);
    await primary.follow(first);
    await primary.start();
    await first.query('INSERT INTO t VALUES (12)');
    await expect.poll(() => Promise.all(cluster.nodes.map(countOf)), { timeout: 10_000 }).toEqual([12, 12, 12]);
    expect(await Promise.all(cluster.nodes.map(inRecovery))).toEqual([true, false, true]);
  });

  it('lags on demand', async () => {
    await using cluster = await startCluster({ replicas: 1 });
    const [replica] = cluster.replicas;
    await cluster.primary.query('CREATE TABLE t (n int)');
    await cluster.waitForReplay();
    await replica?.set('recovery_min_apply_delay', '1h');
    await cluster.primary.query('INSERT INTO t VALUES (1)');
    await sleep(300);
    expect(await replica?.query('SELECT n FROM t')).toEqual([]);
    await replica?.set('recovery_min_apply_delay', null);
    await cluster.waitForReplay();
    expect(await replica?.query('SELECT n FROM t')).toEqual([{ n: 1 }]);
  });

  it('obeys the hba, settings and files it is given', async () => {
    await using cluster = await startCluster({
      replicas: 0,
      hba: ['host all all all scram-sha-256'],
      settings: { work_mem: '5MB' },
      files: { 'note.txt': 'for the server alone' },
    });
    const { primary } = cluster;
    await primary.query('CREATE ROLE someone LOGIN');
    await expect(primary.query('SELECT 1', 'postgres', 'someone')).rejects.toThrow('password');
    expect(await primary.query('SHOW work_mem')).toEqual([{ work_mem: '5MB' }]);
    expect(await primary.query("SELECT pg_read_file('note.txt') AS text")).toEqual([{ text: 'for the server alone' }]);
  });

  it('says why a server does not start', async () => {
    await expect(startCluster({ replicas: 0, settings: { shared_buffers: 'lots' } })).rejects.toThrow('shared_buffers');
  });

  it.each(['SIGKILL', 'SIGTERM'] as const)('leaves nothing behind when its process gets %s', async (signal) => {
    const child = spawn(process.execPath, [join(import.meta.dirname, '../support/boot-and-wait.ts')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    const { directory, pids } = JSON.parse(line) as { directory: string; pids: number[] };
    expect(existsSync(directory)).toBe(true);
    expect(pids.map(isRunning)).toEqual([true, true]);
    child.kill(signal);
    await once(child, 'exit');
    await expect.poll(() => existsSync(directory), { timeout: 15_000 }).toBe(false);
    expect(pids.map(isRunning)).toEqual([false, false]);
  });
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
