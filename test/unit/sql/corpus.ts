import { readFileSync } from 'node:fs';
import type { Effect } from '../../../src/sql/facts.ts';

/** One text of test/corpus/classification.sql; the format is described at its head. */
export interface CorpusText {
  readonly line: number;
  readonly text: string;
  readonly effect: Effect;
  readonly reason: string;
  readonly tags: ReadonlySet<string>;
}

export interface Corpus {
  readonly setup: readonly string[];
  readonly texts: readonly CorpusText[];
}

const FILE = new URL('../../corpus/classification.sql', import.meta.url);
const EXPECTATION = /^--@ (read|write|unknown), ([^[]+?)(?: \[([a-z ]+)\])?$/;

export function readCorpus(): Corpus {
  const setup: string[] = [];
  const texts: { line: number; text: string; effect: Effect; reason: string; tags: ReadonlySet<string> }[] = [];
  let section: Pick<CorpusText, 'effect' | 'reason' | 'tags'> | 'setup' | null = null;
  for (const [index, line] of readFileSync(FILE, 'utf8').split('\n').entries()) {
    if (line.startsWith('--@')) section = line === '--@ setup' ? 'setup' : expectation(line, index + 1);
    else if (line === '' || line === '--' || line.startsWith('-- ')) continue;
    else if (section === null) throw new Error(`corpus line ${index + 1}: a text before the first --@`);
    else if (line.startsWith(' ')) {
      const last = texts[texts.length - 1];
      if (last === undefined || section === 'setup') throw new Error(`corpus line ${index + 1}: nothing to go on with`);
      last.text += `\n${line}`;
    } else if (section === 'setup') setup.push(line);
    else texts.push({ line: index + 1, text: line, ...section });
  }
  return { setup, texts };
}

function expectation(line: string, number: number): Pick<CorpusText, 'effect' | 'reason' | 'tags'> {
  const match = EXPECTATION.exec(line);
  if (match === null) throw new Error(`corpus line ${number}: not understood: ${line}`);
  return {
    effect: match[1] as Effect,
    reason: match[2] ?? '',
    tags: new Set((match[3] ?? '').split(' ').filter((tag) => tag !== '')),
  };
}

/** As the text would come off the wire. */
export function wireText(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
