import type { Config } from '../config/settings.ts';
import type { ProcessShare } from '../server/clients.ts';

/**
 * The configuration of one of several workers: what is bounded for all of pgweir is divided, so that the parts add up to
 * the whole. The configuration sees to it that each gets at least one of what it cannot do without.
 */
export function shareOf(config: Config, share: ProcessShare): Config {
  const { pool, limits } = config;
  const part = (total: number) => partOf(total, share);
  return {
    ...config,
    pool: {
      ...pool,
      maxPerBackend: part(pool.maxPerBackend),
      minIdle: part(pool.minIdle),
      maxWaiters: part(pool.maxWaiters),
    },
    limits: {
      ...limits,
      clients: part(limits.clients),
      clientsPerUser: limits.clientsPerUser === null ? null : part(limits.clientsPerUser),
      statementBytes: part(limits.statementBytes),
    },
  };
}

/** One part of a whole number: all parts add up to it, and differ by one at most. The first ones are the larger ones. */
export function partOf(total: number, { slot, slots }: ProcessShare): number {
  return Math.floor(total / slots) + (slot < total % slots ? 1 : 0);
}
