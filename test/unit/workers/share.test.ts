import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { partOf, shareOf } from '../../../src/workers/share.ts';
import { configOf, MINIMUM } from '../config/validate-text.ts';

const slotsOf = (slots: number) => Array.from({ length: slots }, (_, slot) => ({ slot, slots }));

describe('a part of a whole', () => {
  it.each([
    [50, 2, [25, 25]],
    [50, 4, [13, 13, 12, 12]],
    [3, 3, [1, 1, 1]],
    [1, 3, [1, 0, 0]],
    [0, 2, [0, 0]],
  ])('of %i over %i', (total, slots, parts) => {
    expect(slotsOf(slots).map((share) => partOf(total, share))).toEqual(parts);
  });

  it('is one at least where there is enough, and all parts add up to the whole', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.integer({ min: 1, max: 256 }), (total, slots) => {
        const parts = slotsOf(slots).map((share) => partOf(total, share));
        expect(parts.reduce((sum, part) => sum + part, 0)).toBe(total);
        expect(Math.max(...parts) - Math.min(...parts)).toBeLessThanOrEqual(1);
        if (total >= slots) expect(Math.min(...parts)).toBeGreaterThanOrEqual(1);
      }),
    );
  });
});

describe('the configuration of a worker', () => {
  const config = configOf(
    `${MINIMUM}workers: 2\npool: { max_per_backend: 5, min_idle: 3, max_waiters: 7 }\nlimits: { clients: 9, clients_per_user: 3, statement_bytes: 3MiB }\n`,
  );

  it('has its part of what is bounded for all, and everything else as it is', () => {
    const [first, second] = slotsOf(2).map((share) => shareOf(config, share));
    expect(first?.pool).toEqual({ ...config.pool, maxPerBackend: 3, minIdle: 2, maxWaiters: 4 });
    expect(second?.pool).toEqual({ ...config.pool, maxPerBackend: 2, minIdle: 1, maxWaiters: 3 });
    expect(first?.limits).toEqual({ ...config.limits, clients: 5, clientsPerUser: 2, statementBytes: 1.5 * 2 ** 20 });
    expect(second?.limits).toEqual({ ...config.limits, clients: 4, clientsPerUser: 1, statementBytes: 1.5 * 2 ** 20 });
    expect({ ...first, pool: null, limits: null }).toEqual({ ...config, pool: null, limits: null });
  });

  it('has no limit where there is none, and the whole of it when it is alone', () => {
    const [alone] = slotsOf(1);
    const unlimited = configOf(`${MINIMUM}workers: 2\n`);
    expect(slotsOf(2).map((share) => shareOf(unlimited, share).limits.clientsPerUser)).toEqual([null, null]);
    expect(alone && shareOf(config, alone)).toEqual(config);
  });
});
