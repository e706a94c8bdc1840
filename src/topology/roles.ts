/*
 * Who is primary? The primary is found, not configured: it is the node that takes writes, as libpq's
 * target_session_attrs=read-write means it (not in recovery, default_transaction_read_only off).
 *
 * Two writable nodes are a named condition, split brain. The higher timeline wins, since a promotion always starts a
 * higher one; on equal timelines the present primary stays. All others are fenced: nothing is sent to them. A node
 * whose timeline is lower than one that this process has seen a primary on stays fenced even when it is the only
 * writable one: it is an old primary that came back and lacks what was written since.
 *
 * A node of another system identifier is never used. The identifier is taken from the cluster itself when the first
 * probes are in, by majority, and kept from then on: changing it later would mean to follow whoever is left.
 */

/** A node that takes writes. */
export interface Writable {
  readonly index: number;
  readonly timeline: number;
}

export interface Election {
  readonly primary: number | null;
  readonly splitBrain: boolean;
}

/**
 * Chooses the primary.
 * @param current the present primary, null while there is none.
 * @param highestTimeline the highest timeline that a primary was seen on; 0 before the first.
 */
export function electPrimary(writable: readonly Writable[], current: number | null, highestTimeline: number): Election {
  let best: Writable | null = null;
  for (const node of writable) {
    if (node.timeline < highestTimeline) continue;
    if (best === null || node.timeline > best.timeline || (node.timeline === best.timeline && node.index === current))
      best = node;
  }
  return { primary: best?.index ?? null, splitBrain: writable.length > 1 };
}

/** What is known of one node's identity: its identifier, null when it could not be asked, undefined before the first probe. */
export type KnownIdentifier = string | null | undefined;

/**
 * The system identifier of the cluster: that of more than half of all nodes, or, once every node was probed, the one that
 * most answers share (the first in the order of the configuration when several do). Null while that is open.
 */
export function adoptIdentifier(nodes: readonly KnownIdentifier[]): string | null {
  const counts = new Map<string, number>();
  for (const identifier of nodes) {
    if (typeof identifier === 'string') counts.set(identifier, (counts.get(identifier) ?? 0) + 1);
  }
  let best: string | null = null;
  for (const [identifier, count] of counts) {
    if (best === null || count > (counts.get(best) ?? 0)) best = identifier;
  }
  const decided = !nodes.includes(undefined) || (counts.get(best ?? '') ?? 0) * 2 > nodes.length;
  return decided ? best : null;
}
