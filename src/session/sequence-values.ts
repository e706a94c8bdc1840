import type { BackendConnection } from '../backend/connection.ts';
import type { Facts } from '../sql/facts.ts';
import type { SessionState } from './state.ts';
import type { Work } from './work.ts';

/*
 * currval() and lastval() are answered by the process that advanced the sequence, which remembers that for whoever has it. So
 * what others have left there is taken away before a work that may ask for it and, where clients do ask, before the session
 * leaves something of its own there.
 */

export function asksForSequence(work: Work): boolean {
  return work.facts.some(({ sessionState }) => sessionState === 'sequence value');
}

export function advancesSequence(work: Work): boolean {
  return work.facts.some(mayAdvance);
}

/** Whether the work, to be sent there, needs DISCARD SEQUENCES before it. `areAsked`: clients like this one ask for values. */
export function meetsSequencesOfOthers(
  work: Work,
  connection: BackendConnection,
  { lastSequence, activeIsPrimary, transaction }: SessionState,
  areAsked: boolean,
): boolean {
  const { sequenceLease } = connection;
  if (!activeIsPrimary || sequenceLease < 0 || transaction === 'failed') return false;
  if (lastSequence?.connection === connection && lastSequence.lease === sequenceLease) return false;
  return asksForSequence(work) || (areAsked && advancesSequence(work));
}

/** Also a default, a trigger or a function may. */
function mayAdvance({ effect, reason, residue }: Facts): boolean {
  if (effect === 'read') return false;
  return reason === 'data modification' || residue.has('sequence value') || residue.has('unknown');
}
