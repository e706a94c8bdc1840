import type { Route, RouteReason } from './route.ts';

/** Where a batch can go. */
export type Target = Route['target'];

const toPrimary = new Map<RouteReason, Route>();
const toReplica = new Map<RouteReason, Route>();

/** The one route object of this target and reason: decisions allocate nothing, and may be compared by identity. */
export function routeTo(target: Target, reason: RouteReason): Route {
  const table = target === 'primary' ? toPrimary : toReplica;
  let route = table.get(reason);
  if (route === undefined) {
    route = Object.freeze({ target, reason });
    table.set(reason, route);
  }
  return route;
}
