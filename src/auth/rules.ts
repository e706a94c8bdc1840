import { assert } from '../util/assert.ts';
import { OperationalError } from '../util/errors.ts';
import { toWireText } from '../util/wire-text.ts';
import { type Cidr, cidrContains, parseCidr } from './cidr.ts';

/** How a client proves who it is. */
export type AuthMethod = 'scram-sha-256' | 'md5' | 'password' | 'trust' | 'reject';

/** One row of the ordered list; what is null matches everything. Names have one character for each byte. */
export interface AuthRule {
  readonly from: Cidr | null;
  readonly database: string | null;
  readonly user: string | null;
  /** True: only over TLS (`hostssl`). False: only without (`hostnossl`). */
  readonly tls: boolean | null;
  readonly method: AuthMethod;
}

/** A rule as the configuration has it: ordinary text, and the address already checked. */
export interface ConfiguredRule extends Omit<AuthRule, 'from'> {
  readonly from: string | null;
}

/** @throws BugError for an address that configuration should have refused */
export function authRule(rule: ConfiguredRule): AuthRule {
  const { from, database, user, tls, method } = rule;
  const cidr = from === null ? null : parseCidr(from);
  assert(from === null || cidr !== null, `rule from ${from}: not an address or a network`);
  return {
    from: cidr,
    database: database === null ? null : toWireText(database),
    user: user === null ? null : toWireText(user),
    tls,
    method,
  };
}

/** What rules look at. */
export interface Origin {
  /** As the socket reports it. */
  readonly address: string;
  readonly database: string;
  readonly user: string;
  readonly tls: boolean;
}

/** Without rules everybody proves a password with SCRAM. */
const DEFAULT_RULES: readonly AuthRule[] = [{ from: null, database: null, user: null, tls: null, method: 'scram-sha-256' }];

/**
 * The method for a client: the first rule that matches decides, as in `pg_hba.conf`.
 * @returns the method and which rule (from 0) said so; `reject` with rule null when none matches
 */
export function matchRules(
  rules: readonly AuthRule[],
  origin: Origin,
): { readonly method: AuthMethod; readonly rule: number | null } {
  const list = rules.length === 0 ? DEFAULT_RULES : rules;
  for (const [index, rule] of list.entries()) if (matches(rule, origin)) return { method: rule.method, rule: index };
  return { method: 'reject', rule: null };
}

/** The refusal by a rule, or for want of one. Wording after auth_failed in src/backend/libpq/auth.c. */
export function rejection(origin: Origin, rule: number | null): OperationalError {
  const { address, user, database, tls } = origin;
  const who = `host "${address}", user "${user}", database "${database}", ${tls ? 'SSL encryption' : 'no encryption'}`;
  const what = rule === null ? 'no authentication rule for' : 'an authentication rule rejects connection for';
  return new OperationalError('invalid_authorization', `${what} ${who}`);
}

function matches(rule: AuthRule, origin: Origin): boolean {
  return (
    (rule.tls === null || rule.tls === origin.tls) &&
    (rule.database === null || rule.database === origin.database) &&
    (rule.user === null || rule.user === origin.user) &&
    (rule.from === null || cidrContains(rule.from, origin.address))
  );
}
