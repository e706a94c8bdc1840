import type { Config } from '../config/settings.ts';
import { toWireText } from '../util/wire-text.ts';
import type { Target } from './routes.ts';

/** What the first rule of the configuration says that fits a session; null without one. Names are as on the wire. */
export function ruleFor(
  rules: Config['routing']['rules'],
  session: { readonly user: string; readonly database: string },
): Target | null {
  const fits = (name: string | null, actual: string) => name === null || toWireText(name) === actual;
  const rule = rules.find(({ user, database }) => fits(user, session.user) && fits(database, session.database));
  return rule?.route ?? null;
}
