export { type Cluster, startCluster } from '../../src/demo/cluster.ts';
export type { PostgresNode } from '../../src/demo/postgres-node.ts';
