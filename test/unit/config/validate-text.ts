import type { Environment } from '../../../src/config/environment.ts';
import { formatProblem } from '../../../src/config/problem.ts';
import type { Config } from '../../../src/config/settings.ts';
import { validateConfig } from '../../../src/config/validate.ts';

export interface Surroundings {
  readonly env?: Environment;
  /** Content by absolute path; the folder of the configuration is /etc/pgweir. */
  readonly files?: Readonly<Record<string, string>>;
}

function validate(yaml: string, { env = {}, files = {} }: Surroundings) {
  return validateConfig(yaml, {
    env,
    files: {
      resolve: (path) => (path.startsWith('/') ? path : `/etc/pgweir/${path}`),
      read: (path) => {
        const content = files[path];
        if (content === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
        return content;
      },
    },
  });
}

/** Problems as the command line prints them, without the name of the file. */
export function problemsOf(yaml: string, surroundings: Surroundings = {}): string[] {
  const validation = validate(yaml, surroundings);
  return validation.kind === 'valid' ? [] : validation.problems.map((problem) => formatProblem(problem, 'f').slice(2));
}

/** The configuration of a text that must be right. */
export function configOf(yaml: string, surroundings: Surroundings = {}): Config {
  const validation = validate(yaml, surroundings);
  if (validation.kind === 'valid') return validation.config;
  throw new Error(JSON.stringify(validation.problems));
}

/** The least that is required, to which tests add what they are about. */
export const MINIMUM = 'backends: [pg-1]\nmonitor: { user: m }\n';
