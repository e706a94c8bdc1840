/** Boots a cluster, says where it is, and waits to be killed: for the test that nothing outlives its process. */
import { startCluster } from '../../src/demo/cluster.ts';

const cluster = await startCluster({ replicas: 1 });
cluster.replicas[0]?.pause();
process.stdout.write(`${JSON.stringify({ directory: cluster.directory, pids: cluster.nodes.map(({ pid }) => pid) })}\n`);
setInterval(() => undefined, 1000);
