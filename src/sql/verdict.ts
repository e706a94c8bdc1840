import type { Effect, EffectReason, ResidueRisk, SessionStateRead } from './facts.ts';

/** What using one object (a function, a relation, an operator) means for the statement that uses it. */
export interface Verdict {
  readonly effect: Effect;
  readonly reason: EffectReason;
  readonly callsVolatile: boolean;
  readonly sessionState: SessionStateRead | null;
  readonly residue: ResidueRisk | null;
}

export const READ: Verdict = verdict('read', 'plain read');

/** Declared volatile by its owner: what it does is not known. */
export const VOLATILE: Verdict = verdict('unknown', 'volatile function', { callsVolatile: true, residue: 'unknown' });

/** Not in the catalog: does not exist, or not yet. */
export const UNKNOWN_FUNCTION: Verdict = verdict('unknown', 'unknown function', { callsVolatile: true, residue: 'unknown' });

export function verdict(effect: Effect, reason: EffectReason, more: Partial<Verdict> = {}): Verdict {
  return { effect, reason, callsVolatile: false, sessionState: null, residue: null, ...more };
}

const STRENGTH: Readonly<Record<Effect, number>> = { read: 0, unknown: 1, write: 2 };

/** True if `effect` decides over `other`: a write over an unknown, an unknown over a read. */
export function outranks(effect: Effect, other: Effect): boolean {
  return STRENGTH[effect] > STRENGTH[other];
}

/** What holds when it may be either of two objects: the stronger effect, and the risks of both. */
export function eitherOf(first: Verdict, second: Verdict): Verdict {
  const [strong, weak] = outranks(second.effect, first.effect) ? [second, first] : [first, second];
  return {
    effect: strong.effect,
    reason: strong.reason,
    callsVolatile: first.callsVolatile || second.callsVolatile,
    sessionState: strong.sessionState ?? weak.sessionState,
    residue: first.residue === 'unknown' || second.residue === 'unknown' ? 'unknown' : (strong.residue ?? weak.residue),
  };
}
