import type { Answer, Failure } from '../../../src/topology/observation.ts';
import type { TopologyNode, TopologyPolicy } from '../../../src/topology/reduce.ts';
import type { Lsn } from '../../../src/util/lsn.ts';

const lsn = (value: number): Lsn => value as Lsn;

export const POLICY: TopologyPolicy = { maxLagMs: 1000, maxLagBytes: null, observationLifeMs: 3000, slowStartMs: 5000 };

export function nodes(count: number): TopologyNode[] {
  return Array.from({ length: count }, (_, index) => ({ name: `pg-${index}`, host: `host-${index}`, port: 5432, weight: 1 }));
}

export function primaryAnswer(sentAtMs: number, position: number, more: Partial<Answer> = {}): Answer {
  return {
    kind: 'answer',
    sentAtMs,
    inRecovery: false,
    readOnly: false,
    lsn: lsn(position),
    flushed: { lsn: lsn(position), usuallyWithinMs: 600 },
    timeline: 1,
    systemIdentifier: 'the cluster',
    serverVersion: 180004,
    ...more,
  };
}

export function standbyAnswer(sentAtMs: number, position: number, more: Partial<Answer> = {}): Answer {
  return primaryAnswer(sentAtMs, position, { inRecovery: true, flushed: null, ...more });
}

export const refused: Failure = { kind: 'failure', problem: 'unreachable', detail: 'connect ECONNREFUSED' };
