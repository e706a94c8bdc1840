import type { Environment } from '../config/environment.ts';

/** Where a command talks to. Texts are whole lines without their newline. */
export interface Io {
  readonly env: Environment;
  out(line: string): void;
  err(line: string): void;
}

/** What the process ends with; `pgweir --help` lists them. */
export const EXIT = {
  ok: 0,
  /** Something outside is not as it must be: the configuration, a port, a file. */
  failed: 1,
  usage: 2,
  /** A defect of pgweir itself. Source: EX_SOFTWARE in sysexits.h. */
  bug: 70,
} as const;
