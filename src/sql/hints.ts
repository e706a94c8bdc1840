import type { Hint } from './facts.ts';

/** What a comment must begin with to be a hint, blanks aside. */
const PREFIX = /^\s*pgweir:\s*/i;
const DURATION = /^(\d{1,9})(us|ms|s|min|m|h)?$/;
const UNIT_MS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000 };

/**
 * Reads the inside of a comment: `pgweir: route=primary, max_staleness=5s`. Null when it is no hint; an item that is
 * unknown or malformed is passed over, since a comment must never make a statement fail. A staleness without a unit is
 * in milliseconds, like PostgreSQL's settings of that kind.
 */
export function parseHint(comment: string): Hint | null {
  const prefix = PREFIX.exec(comment);
  if (prefix === null) return null;
  const hint: { route?: 'primary' | 'replica'; maxStalenessMs?: number } = {};
  for (const item of comment.slice(prefix[0].length).split(/[,\s]+(?=[a-z_]+\s*=)/i)) {
    const [name = '', value = ''] = item.split('=', 2).map((part) => part.trim().toLowerCase().replace(/,$/, ''));
    if (name === 'route' && (value === 'primary' || value === 'replica')) hint.route = value;
    else if (name === 'max_staleness') {
      const ms = parseDuration(value);
      if (ms !== null) hint.maxStalenessMs = ms;
    }
  }
  return hint.route === undefined && hint.maxStalenessMs === undefined ? null : hint;
}

/** The stricter of two hints of one text: primary wins, and the shorter staleness. */
export function mergeHints(first: Hint | null, second: Hint | null): Hint | null {
  if (first === null || second === null) return first ?? second;
  const route = first.route === 'primary' || second.route === 'primary' ? 'primary' : (first.route ?? second.route);
  const staleness = Math.min(first.maxStalenessMs ?? Number.POSITIVE_INFINITY, second.maxStalenessMs ?? Number.POSITIVE_INFINITY);
  return {
    ...(route === undefined ? {} : { route }),
    ...(staleness === Number.POSITIVE_INFINITY ? {} : { maxStalenessMs: staleness }),
  };
}

function parseDuration(text: string): number | null {
  const match = DURATION.exec(text);
  if (match === null) return null;
  return Number(match[1]) * (UNIT_MS[match[2] ?? 'ms'] ?? 1);
}
