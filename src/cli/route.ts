import { existsSync } from 'node:fs';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/settings.ts';
import { newSession } from '../routing/context.ts';
import { decide } from '../routing/decide.ts';
import { type Explanation, explain, toText } from '../routing/explain.ts';
import { ruleFor } from '../routing/rules.ts';
import { unloadedCatalog } from '../sql/catalog.ts';
import { loadParser } from '../sql/parser.ts';
import { StatementCache } from '../sql/statement-cache.ts';
import type { BackendView, View } from '../topology/view.ts';
import { fromWireText, toWireText } from '../util/wire-text.ts';
import { reportProblems } from './check.ts';
import { EXIT, type Io } from './io.ts';

export interface RouteOptions {
  /** Null: the usual file if it is there, and otherwise the defaults with a primary and two replicas. */
  readonly config: string | null;
  readonly user: string | null;
  readonly database: string | null;
  /** As through a listener with `mode: read-only`. */
  readonly readOnly: boolean;
  readonly json: boolean;
}

/** What routing needs to know of a configuration. */
type Assumptions = Pick<Config, 'backends' | 'routing'>;

const DEFAULTS: Assumptions = {
  backends: ['primary', 'replica 1', 'replica 2'].map((name) => ({ host: name, port: 5432, name, weight: 1 })),
  routing: {
    maxLagMs: 5000,
    maxLagBytes: null,
    consistency: 'session',
    fenceWaitMs: 10,
    transactions: 'declared',
    whenNoReplica: 'primary',
    rules: [],
  },
};

const NOTE =
  'Nothing was asked of a database: its own functions are taken for unknown, its relations for plain tables. A running pgweir knows them.';

/**
 * `pgweir route`: where each text would go as one message of a session that has just connected, with all replicas
 * fresh, and why. Connects nowhere.
 */
export async function route(texts: readonly string[], options: RouteOptions, usualFile: string, io: Io): Promise<number> {
  const file = options.config ?? (existsSync(usualFile) ? usualFile : null);
  const validation = file === null ? null : loadConfig(file, io.env);
  if (validation?.kind === 'invalid') return reportProblems(validation.problems, file ?? usualFile, io);
  await loadParser();
  const statements = new StatementCache();
  for (const text of texts) {
    const explanation = explainText(text, statements, options, validation?.config ?? DEFAULTS);
    io.out(options.json ? JSON.stringify({ sql: text, ...explanation }) : toText(explanation));
  }
  if (!options.json) io.err(`(${NOTE})`);
  return EXIT.ok;
}

function explainText(text: string, statements: StatementCache, options: RouteOptions, config: Assumptions): Explanation {
  const facts = statements.facts(toWireText(text), unloadedCatalog, 'standard');
  const session = { user: toWireText(options.user ?? ''), database: toWireText(options.database ?? '') };
  const rule = ruleFor(config.routing.rules, session);
  const context = { ...newSession, mode: options.readOnly ? ('read-only' as const) : ('split' as const), rule };
  const explanation = explain(decide(facts, context, idealView(config.backends), config.routing), [facts]);
  const { subject } = explanation;
  return { ...explanation, subject: subject === null ? null : (fromWireText(subject) ?? subject) };
}

/** The first backend is the primary, the others are replicas with nothing to catch up on. */
function idealView(backends: Config['backends']): View {
  const views = backends.map(
    ({ name, host, port, weight }, index): BackendView => ({
      index,
      name,
      host,
      port,
      weight,
      role: index === 0 ? 'primary' : 'replica',
      up: true,
      problem: null,
      freshThroughMs: Number.POSITIVE_INFINITY,
      expiresAtMs: Number.POSITIVE_INFINITY,
      incarnation: 0,
      lagMs: 0,
      lagBytes: 0,
      lsn: null,
      timeline: null,
      warmth: 1,
      serverVersion: null,
    }),
  );
  return { version: 1, backends: views, primary: 0, epoch: 1, splitBrain: false };
}
