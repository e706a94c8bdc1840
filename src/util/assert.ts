/** A defect of pgweir itself: an invariant that our own code broke. Never caused by a peer's bytes. */
export class BugError extends Error {
  override readonly name = 'BugError';
}

/** Throws {@link BugError} unless `condition` holds. For invariants, never for input. */
export function assert(condition: boolean, what: string): asserts condition {
  if (!condition) throw new BugError(what);
}

/** Ends every `switch` over a closed union: the compiler proves that it is never reached. */
export function assertNever(value: never, what: string): never {
  throw new BugError(`${what}: unexpected ${JSON.stringify(value)}`);
}
