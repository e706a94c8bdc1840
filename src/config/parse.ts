import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap, type YAMLSeq } from 'yaml';
import { type Environment, guardReferences, interpolate } from './environment.ts';
import { formatPath, type Path, type Place, type Problem } from './problem.ts';

/** A configuration file as plain data, and where each part of it stands. */
export interface Tree {
  readonly value: unknown;
  /** Whether the file has something at this path. */
  has(path: Path): boolean;
  /** The place of the value at the path, or of the nearest one around it that the file has; of mappings and lists, their name's. */
  locate(path: Path): Place;
  /** The place of a name in a mapping. */
  locateKey(path: Path): Place;
  readonly problems: readonly Problem[];
}

/** Deeper than any configuration, and far from where recursion would hurt. */
const MAX_DEPTH = 20;

const START: Place = { line: 1, column: 1 };

/**
 * Reads YAML 1.2 into plain data, with `${NAME}` replaced from the environment in every scalar text. Aliases and tags
 * are refused: nothing here needs them, and without them a file means what it shows. When the text is not YAML at all,
 * the value is undefined and only that is reported.
 */
export function parseTree(text: string, env: Environment): Tree {
  const lines = new LineCounter();
  const document = parseDocument(guardReferences(text), {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
    schema: 'core',
    version: '1.2',
  });
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const builder = new TreeBuilder(place, env);
  const syntax = syntaxProblems(document.errors, place);
  if (syntax.length > 0) return builder.finish(undefined, syntax);
  return builder.finish(builder.read(document.contents, []), []);
}

class TreeBuilder {
  readonly #place: (offset: number) => Place;
  readonly #env: Environment;
  readonly #values = new Map<string, Place>();
  readonly #keys = new Map<string, Place>();
  readonly #problems: Problem[] = [];

  constructor(place: (offset: number) => Place, env: Environment) {
    this.#place = place;
    this.#env = env;
  }

  read(node: Node | null, path: Path): unknown {
    if (node === null) return null;
    const place = this.#placeOf(node);
    // Whoever looks for a mapping or list that is indented below its name looks for the name.
    const isCollection = isMap(node) || isSeq(node);
    this.#values.set(toKey(path), (isCollection ? this.#keys.get(toKey(path)) : undefined) ?? place);
    if (path.length > MAX_DEPTH) return this.#refuse(path, place, 'is nested too deeply');
    if (isAlias(node) || node.anchor !== undefined) return this.#refuse(path, place, 'uses an alias: write the value out');
    if (node.tag !== undefined) return this.#refuse(path, place, 'has a YAML tag: leave it out');
    if (isMap(node)) return this.#readMap(node, path);
    if (isSeq(node)) return this.#readList(node, path);
    if (isScalar(node)) return typeof node.value === 'string' ? this.#interpolate(node.value, path, place) : node.value;
    return this.#refuse(path, place, 'is not a value');
  }

  finish(value: unknown, syntax: readonly Problem[]): Tree {
    const values = this.#values;
    const keys = this.#keys;
    const locate = (path: Path): Place => {
      for (let length = path.length; length > 0; length--) {
        const place = values.get(toKey(path.slice(0, length)));
        if (place !== undefined) return place;
      }
      return START;
    };
    return {
      value,
      has: (path) => values.has(toKey(path)),
      locate,
      locateKey: (path) => keys.get(toKey(path)) ?? locate(path),
      problems: [...syntax, ...this.#problems],
    };
  }

  #readMap(map: YAMLMap, path: Path): Record<string, unknown> {
    const entries = new Map<string, unknown>();
    for (const { key, value } of map.items) {
      if (!isScalar(key) || typeof key.value !== 'string') {
        this.#problems.push({ path: formatPath(path), place: this.#placeOf(key), message: 'has a name that is not text' });
        continue;
      }
      const inner = [...path, key.value];
      const place = this.#placeOf(key);
      const first = this.#keys.get(toKey(inner));
      if (first === undefined) {
        this.#keys.set(toKey(inner), place);
        entries.set(key.value, this.read(toNode(value), inner));
      } else this.#refuse(inner, place, `is given twice: first in line ${first.line}`);
    }
    return Object.fromEntries(entries);
  }

  #readList(list: YAMLSeq, path: Path): unknown[] {
    return list.items.map((item, index) => this.read(toNode(item), [...path, index]));
  }

  #interpolate(text: string, path: Path, place: Place): string {
    return interpolate(text, this.#env, (name) => {
      this.#refuse(path, place, `needs the environment variable ${name}, which is not set`);
    });
  }

  #refuse(path: Path, place: Place, message: string): null {
    this.#problems.push({ path: formatPath(path), place, message });
    return null;
  }

  #placeOf(node: unknown): Place {
    const start = toNode(node)?.range?.[0];
    return start === undefined ? START : this.#place(start);
  }
}

/** Unlike {@link formatPath}, different for different paths: a name may contain a dot. */
function toKey(path: Path): string {
  return JSON.stringify(path);
}

/** Members of collections are typed as unknown, but a parsed document holds nodes only. */
function toNode(value: unknown): Node | null {
  return isMap(value) || isSeq(value) || isScalar(value) || isAlias(value) ? value : null;
}

/** What the parser's codes mean. Its own messages are not used: some of them quote the text. */
const SYNTAX: Readonly<Record<string, string>> = {
  BAD_DQ_ESCAPE: 'has an unknown escape in double quotes: use single quotes, or write \\\\ for a backslash',
  BAD_INDENT: 'is not YAML: the indentation does not fit',
  BAD_SCALAR_START: 'is not YAML: a text that starts with this character needs quotes',
  BLOCK_AS_IMPLICIT_KEY: 'is not YAML: two names in one line, or a text with ": " that needs quotes',
  MISSING_CHAR: 'is not YAML: something is missing before this, such as a colon, a comma, a bracket or a quote',
  MULTIPLE_DOCS: 'is a second document: one file holds one configuration',
  TAB_AS_INDENT: 'is not YAML: indent with spaces, not with tabs',
  UNEXPECTED_TOKEN: 'is not YAML: this is not expected here; a text with special characters needs quotes',
};

/** One problem per line: what follows in it is mostly the parser trying to find its way back. */
function syntaxProblems(errors: readonly { code: string; pos: [number, number] }[], place: (offset: number) => Place): Problem[] {
  const byLine = new Map<number, Problem>();
  for (const { code, pos } of errors) {
    const at = place(pos[0]);
    if (!byLine.has(at.line)) byLine.set(at.line, { path: '', place: at, message: SYNTAX[code] ?? 'is not YAML' });
  }
  return [...byLine.values()];
}
