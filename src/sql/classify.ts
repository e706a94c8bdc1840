import type { EffectReason, Facts } from './facts.ts';
import type { Findings } from './findings.ts';
import { parse } from './parser.ts';
import { collectStatement } from './statements.ts';

/** What a text shows without a catalog; a reason why nothing is known of it otherwise, `lasting` if it stays so. */
export type Classification =
  | { readonly kind: 'findings'; readonly findings: Findings }
  | { readonly kind: 'opaque'; readonly reason: OpaqueReason; readonly lasting: boolean };

export type OpaqueReason = Extract<
  EffectReason,
  'text does not parse' | 'text too long to parse' | 'encoding not safe to scan' | 'not proven a read'
>;

/** Parses and walks all statements of a byte-as-char text. Never throws for any text. */
export function classify(text: string): Classification {
  const outcome = parse(text);
  if (outcome.kind === 'failure') {
    if (outcome.reason === 'parser not ready') return { kind: 'opaque', reason: 'not proven a read', lasting: false };
    return { kind: 'opaque', reason: outcome.reason, lasting: true };
  }
  try {
    const statements = outcome.statements.map(collectStatement);
    return { kind: 'findings', findings: { statements, literalMatters: statements.some((s) => s.literalMatters) } };
  } catch (error) {
    // The tree is deeper than our own stack.
    if (error instanceof RangeError) return { kind: 'opaque', reason: 'text too long to parse', lasting: true };
    throw error;
  }
}

/** The facts of a text that could not be looked into: it may be anything, so it goes to the primary. */
export function opaqueFacts(reason: OpaqueReason): Facts {
  return {
    effect: 'unknown',
    reason,
    subject: null,
    statements: [{ kind: 'query' }],
    hint: null,
    callsVolatile: true,
    sessionState: null,
    residue: new Set(['unknown']),
    settings: new Set(),
    changesCatalog: false,
  };
}
