/** Variables of the process, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * YAML reads braces inside `[...]` and `{...}` as a mapping, so `{ password: ${SECRET} }` would not be YAML. References are
 * therefore guarded before the text is parsed: their braces become characters of Unicode's private use area, which YAML
 * takes for letters. Lengths stay the same, and with them every line and column.
 */
const OPEN = '\uE000';
const CLOSE = '\uE001';

const REFERENCE_IN_TEXT = /(\$\$?)\{([A-Za-z_][A-Za-z0-9_]*(?::-[^}\n]*)?)\}/g;
const GUARDED_REFERENCE = /(\$\$?)\uE000([A-Za-z_][A-Za-z0-9_]*)(?::-([^\uE001]*))?\uE001/g;

/** @param text a whole YAML document. */
export function guardReferences(text: string): string {
  return text.replace(REFERENCE_IN_TEXT, `$1${OPEN}$2${CLOSE}`);
}

/**
 * Puts the values of variables in the place of guarded references: `${NAME}`, or `${NAME:-default}` for one that may be
 * unset or empty. `$${NAME}` stands for the text `${NAME}`. A value is taken as it is: references in it mean nothing.
 * @param missing is called with the name of each variable that is not set.
 */
export function interpolate(guarded: string, env: Environment, missing: (name: string) => void): string {
  return guarded.replace(GUARDED_REFERENCE, (_, dollars: string, name: string, fallback: string | undefined) => {
    if (dollars === '$$') return `\${${name}${fallback === undefined ? '' : `:-${fallback}`}}`;
    const value = env[name];
    if (fallback !== undefined) return value === undefined || value === '' ? fallback : value;
    if (value === undefined) missing(name);
    return value ?? '';
  });
}
