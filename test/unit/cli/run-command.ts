import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../../src/cli/program.ts';

export interface Outcome {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line in this process and collects what it says. For commands that end by themselves. */
export async function runCommand(...args: string[]): Promise<Outcome> {
  const out: string[] = [];
  const err: string[] = [];
  const io = {
    env: {},
    out: (line: string) => void out.push(`${line}\n`),
    err: (line: string) => void err.push(`${line}\n`),
  };
  const exitCode = await run(args, io, { log: { write: () => undefined }, onSignal: () => () => undefined });
  return { exitCode, out: out.join(''), err: err.join('') };
}

/** A configuration file that is gone with its folder at the end of the scope. */
export function temporaryConfig(text: string): { readonly path: string } & Disposable {
  const folder = mkdtempSync(join(tmpdir(), 'pgweir-cli-'));
  const path = join(folder, 'pgweir.yaml');
  writeFileSync(path, text);
  return { path, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}
