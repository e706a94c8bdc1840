import type { z } from 'zod';
import type { Environment } from './environment.ts';
import type { Files } from './kinds.ts';
import { nearest } from './nearest.ts';
import { parseTree, type Tree } from './parse.ts';
import { byPlace, formatPath, type Path, type Place, type Problem } from './problem.ts';
import { schemasAlong } from './schema.ts';
import { type Config, declareSettings } from './settings.ts';

/** What a configuration may refer to beyond its own text. */
export interface Sources {
  readonly env: Environment;
  readonly files: Files;
}

export type Validation =
  | { readonly kind: 'valid'; readonly config: Config; locate(path: Path): Place }
  | { readonly kind: 'invalid'; readonly problems: readonly Problem[] };

/** Makes a {@link Config} of the text of a configuration file, or lists everything that is wrong with it, in the file's order. */
export function validateConfig(text: string, sources: Sources): Validation {
  const tree = parseTree(text, sources.env);
  if (tree.value === undefined) return { kind: 'invalid', problems: tree.problems };
  const result = declareSettings(sources.files).safeParse(tree.value ?? {});
  if (result.success && tree.problems.length === 0) return { kind: 'valid', config: result.data, locate: tree.locate };
  const found = result.success ? [] : result.error.issues.flatMap((issue) => toProblems(issue, tree));
  const problems = [...tree.problems, ...found.filter(({ path }) => !explained(path, tree.problems))];
  return { kind: 'invalid', problems: problems.sort(byPlace) };
}

function toProblems(issue: z.core.$ZodIssue, tree: Tree): Problem[] {
  // YAML has no symbols for names.
  const path = issue.path as (string | number)[];
  if (issue.code !== 'unrecognized_keys') {
    const message = tree.has(path) || issue.code === 'custom' ? describe(issue) : 'is required';
    const about = message === 'is required' ? schemasAlong(path).at(path.length)?.description : undefined;
    const problem = about === undefined ? message : `${message}: ${about}`;
    return [{ path: formatPath(path), place: tree.locate(path), message: problem }];
  }
  const known = Object.keys(schemasAlong(path).at(path.length)?.properties ?? {});
  return issue.keys.map((key) => {
    const meant = nearest(key, known);
    const advice = meant === null ? `known here: ${known.join(', ')}` : `did you mean ${meant}?`;
    const inner = [...path, key];
    return { path: formatPath(inner), place: tree.locateKey(inner), message: `is not a setting; ${advice}` };
  });
}

/** zod's own words would be right, but not say what to write. */
function describe(issue: z.core.$ZodIssue): string {
  if (issue.code === 'custom') return issue.message;
  if (issue.code === 'too_small') return 'must have at least one entry';
  if (issue.code === 'invalid_type' && issue.expected === 'array') return 'must be a list: one line with "- " for each entry';
  return 'must be a mapping: indented lines with "name: value"';
}

/** A value that could not be read at all needs no second complaint about what it would have been. */
function explained(path: string, problems: readonly Problem[]): boolean {
  return problems.some(
    (problem) => path === problem.path || path.startsWith(`${problem.path}.`) || path.startsWith(`${problem.path}[`),
  );
}
