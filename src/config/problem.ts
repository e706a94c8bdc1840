/** Where something stands in the text, both counted from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** Names and list indexes from the root to a setting, as the file has them. */
export type Path = readonly (string | number)[];

/** One thing that is wrong with a configuration. Never holds a value, which might be a secret. */
export interface Problem {
  /** As {@link formatPath} prints it; empty for the file as a whole. */
  readonly path: string;
  /** Null when it is not about the text, such as a file that cannot be read. */
  readonly place: Place | null;
  /** What is wrong and what to do about it; reads on from the path. */
  readonly message: string;
}

/** `auth.rules[0].method` */
export function formatPath(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? part : `.${part}`;
  }
  return text;
}

/** `config/pgweir.yaml:12:13: monitor.interval needs a unit: ...` in the form that editors and terminals make clickable. */
export function formatProblem(problem: Problem, file: string): string {
  const place = problem.place === null ? '' : `:${problem.place.line}:${problem.place.column}`;
  return `${file}${place}: ${problem.path === '' ? '' : `${problem.path} `}${problem.message}`;
}

/** For sorting problems in the order of the file. */
export function byPlace(a: Problem, b: Problem): number {
  return (a.place?.line ?? 0) - (b.place?.line ?? 0) || (a.place?.column ?? 0) - (b.place?.column ?? 0);
}
