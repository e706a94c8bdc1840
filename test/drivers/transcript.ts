import { type Idiom, isIdiom, isStatement, type Statement } from './idioms.ts';

/**
 * What a program printed. One line each:
 *
 *     = autocommit              an idiom begins
 *     : 42                      something that it saw
 *     @ 5433 autocommit read    a statement ran on the node that listens on this port, as that node said
 *     ! KeyError: 'name'        the idiom was left by an error that it did not expect
 */
export interface Transcript {
  readonly idioms: ReadonlyMap<Idiom, Scene>;
  /** Why the program as a whole is no good: its exit, its complaints, lines of another form. */
  readonly faults: readonly string[];
}

export interface Scene {
  /** What it saw and what left it. */
  readonly lines: string[];
  readonly places: Place[];
}

interface Place {
  readonly statement: Statement;
  readonly port: number;
}

export function readTranscript(text: string): Transcript {
  const idioms = new Map<Idiom, Scene>();
  const faults: string[] = [];
  let scene: Scene | undefined;
  for (const line of text.split('\n').filter((candidate) => candidate !== '')) {
    const [, mark, content = ''] = /^([=:@!]) ?(.*)$/.exec(line) ?? [];
    if (mark === '=' && isIdiom(content) && !idioms.has(content)) {
      scene = { lines: [], places: [] };
      idioms.set(content, scene);
    } else if (scene !== undefined && (mark === ':' || mark === '!')) {
      scene.lines.push(line);
    } else if (scene === undefined || !readPlace(scene, mark, content)) {
      faults.push(`printed: ${line}`);
    }
  }
  return { idioms, faults };
}

function readPlace(scene: Scene, mark: string | undefined, content: string): boolean {
  const [, port, statement = ''] = /^(\d+) (.+)$/.exec(content) ?? [];
  if (mark !== '@' || !isStatement(statement)) return false;
  scene.places.push({ statement, port: Number(port) });
  return true;
}
