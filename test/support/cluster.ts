export { type Cluster, type ClusterOptions, startCluster } from '../../src/demo/cluster.ts';
export type { PostgresNode, StopMode } from '../../src/demo/postgres-node.ts';
