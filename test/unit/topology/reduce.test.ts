import { beforeEach, describe, expect, it } from 'vitest';
import { TopologyReducer } from '../../../src/topology/reduce.ts';
import type { BackendView, View } from '../../../src/topology/view.ts';
import type { Lsn } from '../../../src/util/lsn.ts';
import { nodes, POLICY, primaryAnswer, refused, standbyAnswer } from './fixtures.ts';

function backend(view: View, index: number): BackendView {
  const found = view.backends[index];
  if (found === undefined) throw new Error(`no backend ${index}`);
  return found;
}

/** pg-0 is the primary, pg-1 and pg-2 follow; all were asked at 0. */
function healthy(policy = POLICY): TopologyReducer {
  const topology = new TopologyReducer(nodes(3), policy);
  topology.observe(0, primaryAnswer(0, 1000));
  topology.observe(1, standbyAnswer(0, 1000));
  topology.observe(2, standbyAnswer(0, 1000));
  topology.view(1);
  return topology;
}

function problems(view: View): (string | null)[] {
  return view.backends.map(({ problem }) => problem);
}

describe('the first probes', () => {
  it('nothing is known before', () => {
    const view = new TopologyReducer(nodes(2), POLICY).view(0);
    expect(view).toMatchObject({ primary: null, epoch: 0, splitBrain: false });
    expect(view.backends[0]).toMatchObject({
      role: 'unknown',
      up: false,
      problem: 'not probed yet',
      freshThroughMs: -Infinity,
      lagMs: null,
    });
  });

  it('find the primary and how fresh the replicas are, in whatever order they come', () => {
    const topology = new TopologyReducer(nodes(3), POLICY);
    topology.observe(2, standbyAnswer(5, 900));
    topology.observe(1, standbyAnswer(5, 1000));
    expect(problems(topology.view(6))).toEqual(['not probed yet', 'lag unknown', 'lag unknown']);
    topology.observe(0, primaryAnswer(4, 1000));
    const view = topology.view(7);
    expect(view).toMatchObject({ primary: 0, epoch: 1 });
    expect(backend(view, 0)).toMatchObject({
      role: 'primary',
      up: true,
      problem: null,
      freshThroughMs: Infinity,
      lagMs: 0,
      lagBytes: 0,
    });
    expect(backend(view, 1)).toMatchObject({
      role: 'replica',
      up: true,
      problem: null,
      freshThroughMs: 4,
      lagMs: 1,
      lagBytes: 0,
      warmth: 1,
    });
    expect(backend(view, 2)).toMatchObject({
      role: 'replica',
      up: true,
      problem: 'lag unknown',
      freshThroughMs: -Infinity,
      lagMs: null,
    });
  });

  it('wait for all nodes before they believe a minority, and never use another cluster', () => {
    const topology = new TopologyReducer(nodes(3), POLICY);
    topology.observe(2, primaryAnswer(0, 50, { systemIdentifier: 'another cluster', timeline: 9 }));
    expect(topology.view(1).primary).toBeNull();
    topology.observe(0, primaryAnswer(0, 1000));
    topology.observe(1, standbyAnswer(0, 1000));
    const view = topology.view(2);
    expect(view).toMatchObject({ primary: 0, splitBrain: false });
    expect(backend(view, 2)).toMatchObject({ role: 'unknown', problem: 'wrong system identifier', freshThroughMs: -Infinity });
    for (const index of [0, 1]) topology.observe(index, refused);
    expect(topology.view(3).primary).toBeNull();
  });
});

describe('lag', () => {
  it('is unknown when a replica has replayed nothing', () => {
    const topology = healthy();
    topology.observe(1, standbyAnswer(100, 0, { lsn: null }));
    expect(backend(topology.view(101), 1)).toMatchObject({ problem: 'lag unknown', lagMs: null, lagBytes: null });
  });

  it('does not grow by a newer sample alone, since the replica was not asked since', () => {
    const topology = healthy();
    topology.observe(0, primaryAnswer(900, 5000));
    expect(backend(topology.view(901), 1)).toMatchObject({ freshThroughMs: 0, lagMs: 0, lagBytes: 0, problem: null });
    topology.observe(1, standbyAnswer(900, 1000));
    expect(backend(topology.view(902), 1)).toMatchObject({ freshThroughMs: 0, lagMs: 900, lagBytes: 4000, problem: null });
    topology.observe(1, standbyAnswer(903, 5000));
    expect(backend(topology.view(904), 1)).toMatchObject({ freshThroughMs: 900, lagMs: 3, lagBytes: 0 });
  });

  describe('while the primary holds back the WAL of an open transaction', () => {
    const flushed = (position: number, usuallyWithinMs = 600) => ({ flushed: { lsn: position as Lsn, usuallyWithinMs } });
    const FIFTEEN_SECONDS = 15_000;

    it('stays three rounds of the WAL writer and costs no replica its health, but what is fresh through stays what is proven', () => {
      const topology = healthy();
      for (let at = 100; at <= FIFTEEN_SECONDS; at += 100) {
        topology.observe(0, primaryAnswer(at, 1064, flushed(1000)));
        topology.observe(1, standbyAnswer(at, 1000));
        const { problem, freshThroughMs, lagMs } = backend(topology.view(at), 1);
        expect({ problem, freshThroughMs, lagMs }).toEqual({ problem: null, freshThroughMs: 0, lagMs: Math.min(at, 600) });
      }
      topology.observe(0, primaryAnswer(15_100, 1064));
      topology.observe(1, standbyAnswer(15_101, 1064));
      expect(backend(topology.view(15_102), 1)).toMatchObject({ freshThroughMs: 15_100, lagMs: 1 });
    });

    it('grows for a replica that has not replayed what was flushed', () => {
      const topology = healthy();
      for (let at = 100; at <= 2000; at += 100) topology.observe(0, primaryAnswer(at, 2064, flushed(2000)));
      topology.observe(1, standbyAnswer(2000, 1999));
      expect(backend(topology.view(2001), 1)).toMatchObject({ problem: 'lag over max_lag', freshThroughMs: 0, lagMs: 2000 });
    });

    it('is known although the first sample already was beyond what is flushed', () => {
      const topology = new TopologyReducer(nodes(2), POLICY);
      topology.observe(0, primaryAnswer(10, 1064, flushed(1000)));
      topology.observe(1, standbyAnswer(12, 1000));
      expect(backend(topology.view(13), 1)).toMatchObject({ problem: null, freshThroughMs: -Infinity, lagMs: 602, lagBytes: 64 });
    });

    it('takes in another wal_writer_delay, and never goes back in time for it', () => {
      const topology = healthy();
      topology.observe(0, primaryAnswer(100, 1064, flushed(1000, 60)));
      topology.observe(0, primaryAnswer(200, 1064, flushed(1000, 900)));
      topology.observe(1, standbyAnswer(200, 1000));
      expect(backend(topology.view(201), 1)).toMatchObject({ freshThroughMs: 0, lagMs: 160 });
    });

    it('says nothing of another primary', () => {
      const topology = healthy();
      topology.observe(0, primaryAnswer(1000, 1064, flushed(1000)));
      topology.observe(0, refused);
      topology.observe(1, primaryAnswer(1100, 5064, { timeline: 2, ...flushed(5000) }));
      topology.observe(2, standbyAnswer(1200, 4999, { timeline: 2 }));
      expect(backend(topology.view(1201), 2)).toMatchObject({ problem: 'lag unknown', freshThroughMs: -Infinity, lagMs: null });
    });
  });

  it('over max_lag a replica leaves; it returns in one probe, below four fifths of it, with a slow start', () => {
    const topology = healthy();
    const probe = (at: number, replayed: number) => {
      topology.observe(0, primaryAnswer(at, 1000 + at));
      topology.observe(1, standbyAnswer(at, 1000 + replayed));
      return backend(topology.view(at), 1);
    };
    for (let at = 100; at <= 2000; at += 100) probe(at, Math.min(at, 1000));
    expect(probe(2000, 1000)).toMatchObject({ lagMs: 1000, problem: null, warmth: 1 });
    expect(probe(2100, 1000)).toMatchObject({ lagMs: 1100, problem: 'lag over max_lag' });
    expect(probe(2200, 1300)).toMatchObject({ lagMs: 900, problem: 'lag over max_lag' });
    expect(probe(2300, 1500)).toMatchObject({ lagMs: 800, problem: null, warmth: 0.1 });
    expect(probe(2400, 1500)).toMatchObject({ lagMs: 900, problem: null, warmth: 0.1 });
    expect(probe(4800, 4800)).toMatchObject({ problem: null, warmth: 0.5 });
    expect(probe(9000, 9000)).toMatchObject({ warmth: 1 });
  });

  it('in bytes has its own limit', () => {
    const topology = healthy({ ...POLICY, maxLagBytes: 1000 });
    const probe = (at: number, behind: number) => {
      topology.observe(0, primaryAnswer(at, 100_000));
      topology.observe(1, standbyAnswer(at, 100_000 - behind));
      return backend(topology.view(at), 1);
    };
    expect(probe(1, 1000)).toMatchObject({ lagBytes: 1000, problem: null });
    expect(probe(2, 1001)).toMatchObject({ lagBytes: 1001, problem: 'lag over max_lag_bytes' });
    expect(probe(3, 801)).toMatchObject({ problem: 'lag over max_lag_bytes' });
    expect(probe(4, 800)).toMatchObject({ problem: null });
  });

  it('goes on being reported while there is no primary, but reads go on', () => {
    const topology = healthy();
    topology.observe(0, refused);
    topology.observe(1, standbyAnswer(60_000, 1000));
    const view = topology.view(60_001);
    expect(view).toMatchObject({ primary: null, epoch: 1 });
    expect(backend(view, 0)).toMatchObject({ role: 'unknown', up: false, problem: 'unreachable' });
    expect(backend(view, 1)).toMatchObject({ role: 'replica', problem: null, freshThroughMs: 0, lagMs: 60_000 });
  });
});

describe('observations', () => {
  it('expire', () => {
    const topology = healthy();
    expect(backend(topology.view(2999), 1)).toMatchObject({ problem: null, expiresAtMs: 3000 });
    expect(backend(topology.view(3000), 1)).toMatchObject({ problem: 'observation expired', up: false });
  });

  it('of a broken connection prove nothing any more, and what comes next is another incarnation', () => {
    const topology = healthy();
    expect(backend(topology.view(2), 1).incarnation).toBe(0);
    topology.observe(1, { kind: 'break', detail: 'connection closed' });
    expect(backend(topology.view(3), 1)).toMatchObject({
      up: true,
      problem: 'lag unknown',
      freshThroughMs: -Infinity,
      incarnation: 1,
    });
    topology.observe(1, standbyAnswer(4, 1000));
    expect(backend(topology.view(5), 1)).toMatchObject({ problem: null, freshThroughMs: 0, incarnation: 1, warmth: 1 });
  });

  it('of a broken connection leave the primary in place until the next attempt has failed', () => {
    const topology = healthy();
    topology.observe(0, { kind: 'break', detail: 'connection closed' });
    expect(topology.view(3).primary).toBe(0);
    topology.observe(0, refused);
    expect(topology.view(4).primary).toBeNull();
    topology.observe(0, primaryAnswer(5, 990));
    expect(topology.view(6)).toMatchObject({ primary: 0, epoch: 1 });
  });

  it('let a replica that was down return with a slow start, also one that was down at the start', () => {
    const topology = new TopologyReducer(nodes(2), POLICY);
    topology.observe(0, primaryAnswer(0, 1000));
    topology.observe(1, { ...refused, problem: 'starting up' });
    expect(backend(topology.view(1), 1)).toMatchObject({ problem: 'starting up', up: false });
    topology.observe(1, standbyAnswer(10, 1000));
    expect(backend(topology.view(10), 1)).toMatchObject({ problem: null, warmth: 0.1 });
    expect(backend(topology.view(2510), 1)).toMatchObject({ warmth: 0.5 });
  });
});

describe('a failover', () => {
  let topology: TopologyReducer;
  beforeEach(() => {
    topology = healthy();
    topology.observe(0, refused);
    topology.observe(1, primaryAnswer(100, 1100, { timeline: 2 }));
  });

  it('starts a new epoch and a new clock', () => {
    expect(topology.view(101)).toMatchObject({ primary: 1, epoch: 2, splitBrain: false });
    expect(topology.newestSampleMs).toBe(100);
    // Samples of the old primary say nothing of the new one's history.
    topology.observe(2, standbyAnswer(102, 1050, { timeline: 2 }));
    expect(backend(topology.view(103), 2)).toMatchObject({ problem: 'lag unknown', freshThroughMs: -Infinity });
  });

  it('makes a replica prove its timeline before it counts, even when it is ahead in numbers', () => {
    topology.observe(2, standbyAnswer(100, 5000));
    expect(backend(topology.view(101), 2)).toMatchObject({
      problem: 'timeline not proven',
      freshThroughMs: -Infinity,
      lagMs: null,
    });
    topology.observe(2, standbyAnswer(102, 1100, { timeline: null }));
    expect(backend(topology.view(103), 2)).toMatchObject({ problem: 'timeline not proven' });
    topology.observe(2, standbyAnswer(104, 1100, { timeline: 2 }));
    expect(backend(topology.view(105), 2)).toMatchObject({ problem: null, freshThroughMs: 100 });
    topology.observe(2, standbyAnswer(106, 1100, { timeline: 1 }));
    expect(backend(topology.view(107), 2)).toMatchObject({ problem: null });
  });

  it('does not take the word of an earlier incarnation for the timeline', () => {
    topology.observe(2, standbyAnswer(104, 1100, { timeline: 2 }));
    topology.observe(2, { kind: 'break', detail: 'connection closed' });
    topology.observe(2, standbyAnswer(106, 1100, { timeline: 1 }));
    expect(backend(topology.view(107), 2)).toMatchObject({ problem: 'timeline not proven' });
  });

  it('fences the old primary when it comes back, also when the new one is gone', () => {
    topology.observe(0, primaryAnswer(200, 9000));
    const view = topology.view(201);
    expect(view).toMatchObject({ primary: 1, splitBrain: true, epoch: 2 });
    expect(backend(view, 0)).toMatchObject({ role: 'unknown', problem: 'fenced', freshThroughMs: -Infinity });
    expect(topology.newestSampleMs).toBe(100);
    topology.observe(1, refused);
    expect(topology.view(202)).toMatchObject({ primary: null, splitBrain: false });
    expect(backend(topology.view(203), 0).problem).toBe('fenced');
  });

  it('takes the old primary back as a replica', () => {
    topology.view(299);
    topology.observe(0, standbyAnswer(300, 1100, { timeline: 2 }));
    expect(backend(topology.view(301), 0)).toMatchObject({ role: 'replica', problem: null, freshThroughMs: 100, warmth: 0.1 });
  });
});

it('a primary that refuses writes by default is none, and no replica either', () => {
  const topology = healthy();
  topology.observe(0, primaryAnswer(10, 1000, { readOnly: true }));
  const view = topology.view(11);
  expect(view.primary).toBeNull();
  expect(backend(view, 0)).toMatchObject({ role: 'unknown', problem: 'read-only' });
});

it('each view is a new version and leaves the earlier ones as they were', () => {
  const topology = healthy();
  const before = topology.view(10);
  const copy = structuredClone(before);
  topology.observe(1, refused);
  expect(topology.view(11).version).toBe(before.version + 1);
  expect(before).toEqual(copy);
});
