import type { Config } from '../config/settings.ts';
import { Secret } from '../util/secret.ts';

/** A configuration whose secrets are readable, so that it can be handed to another process. Never to be logged. */
export interface PlainConfig {
  readonly plain: unknown;
}

/** Names what stands for a secret among plain data; no setting has such a name. */
const MARK = 'secret in plain';

export function toPlainConfig(config: Config): PlainConfig {
  return { plain: mapTree(config, (value) => (value instanceof Secret ? { [MARK]: value.reveal() } : undefined)) };
}

/** The configuration that was made plain. */
export function fromPlainConfig({ plain }: PlainConfig): Config {
  const revive = (value: unknown) => {
    const text = isRecord(value) ? value[MARK] : undefined;
    return typeof text === 'string' ? Secret.from(text) : undefined;
  };
  // What toPlainConfig made of a configuration, with every secret back in its place.
  return mapTree(plain, revive) as Config;
}

/** The same tree with what `replace` returns in place of what it knows. */
function mapTree(value: unknown, replace: (value: unknown) => unknown): unknown {
  const replaced = replace(value);
  if (replaced !== undefined) return replaced;
  if (Array.isArray(value)) return value.map((entry) => mapTree(entry, replace));
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, mapTree(entry, replace)]));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
