import type { LeaseWish } from '../backend/lease.ts';
import type { SettingsSet } from '../util/settings-set.ts';
import type { SessionState } from './state.ts';
import type { Work } from './work.ts';

/**
 * What the work, sent under these settings, would notice of others who had the connection before: the counts of their
 * activity, that a library is loaded, and that a temporary schema was made (current_schema() names it then, and PREPARE
 * TRANSACTION refuses to go on only where it is made).
 */
export function wishFor(work: Work, settings: SettingsSet, primary: boolean): LeaseWish {
  if (work.wantsNew) return 'new';
  const looksThere = primary && settings.entries.get('search_path')?.includes('pg_temp') === true;
  let wish: LeaseWish = looksThere ? 'no temporary schema' : 'any';
  for (const { residue, sessionState } of work.facts) {
    if (residue.has('library') || (primary && residue.has('activity counters'))) return 'new';
    if (primary && sessionState === 'temporary schema') wish = 'no temporary schema';
  }
  return wish;
}

/**
 * Whether the session leaves the connection that it keeps without need (`pool.mode: session`) for the work's sake: that is to
 * run in a process where nobody has loaded a library, and nothing is known that the session would miss from its own.
 */
export function leavesHomeFor(work: Work, { home, pinned, hasLeftTraces, lastSequence }: SessionState): boolean {
  if (home === null || !(work.wantsNew || work.facts.some(({ residue }) => residue.has('library')))) return false;
  return !pinned && !hasLeftTraces && lastSequence?.connection !== home;
}
