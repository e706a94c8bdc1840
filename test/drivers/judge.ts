import type { Driver } from './drivers.ts';
import { IDIOMS, type Idiom, PLACES, type Statement } from './idioms.ts';
import type { Transcript } from './transcript.ts';

export interface Verdict {
  readonly idioms: ReadonlyMap<Idiom, 'ok' | 'failed' | 'none'>;
  /** Where the driver's statements ran through pgweir. */
  readonly places: ReadonlyMap<Statement, 'replica' | 'primary' | 'both'>;
  /** What is wrong, for people. */
  readonly complaints: readonly string[];
}

/** Ports of the nodes, to name places. */
export interface Nodes {
  readonly primary: number;
  readonly replicas: readonly number[];
}

/**
 * Holds what a program saw through pgweir against what it saw on the primary itself. Whatever differs is a failure, and
 * so is an error that the program did not expect, an idiom that it left out, and a statement that ran elsewhere than
 * `PLACES` says.
 */
export function judge(driver: Driver, runs: { readonly direct: Transcript; readonly pgweir: Transcript }, nodes: Nodes): Verdict {
  const { direct, pgweir } = runs;
  const complaints = [
    ...direct.faults.map((fault) => `on the direct connection: ${fault}`),
    ...pgweir.faults.map((fault) => `through pgweir: ${fault}`),
  ];
  const idioms = new Map<Idiom, 'ok' | 'failed' | 'none'>();
  for (const idiom of IDIOMS) {
    const found = idiomComplaints(driver, runs, idiom, nodes);
    complaints.push(...found.map((complaint) => `${idiom}: ${complaint}`));
    if (found.length > 0) idioms.set(idiom, 'failed');
    else idioms.set(idiom, driver.without[idiom] === undefined ? 'ok' : 'none');
  }
  return { idioms, places: placesOf(pgweir, nodes), complaints };
}

function idiomComplaints(
  driver: Driver,
  runs: { readonly direct: Transcript; readonly pgweir: Transcript },
  idiom: Idiom,
  nodes: Nodes,
): string[] {
  const direct = runs.direct.idioms.get(idiom);
  const pgweir = runs.pgweir.idioms.get(idiom);
  if (driver.without[idiom] !== undefined)
    return direct === undefined ? [] : ['shown, although the driver is said not to have it'];
  if (direct === undefined || pgweir === undefined) return ['not shown'];
  const unexpected = direct.lines.filter((line) => line.startsWith('!')).map((line) => `the direct connection: ${line}`);
  const strayed = [
    ...direct.places
      .filter(({ port }) => port !== nodes.primary)
      .map(({ statement }) => `${statement} left the direct connection`),
    ...pgweir.places
      .filter(({ statement, port }) => placeName(port, nodes) !== PLACES[statement])
      .map(({ statement, port }) => `${statement} ran on the ${placeName(port, nodes)}`),
  ];
  const [expected, got] = [direct.places.length, pgweir.places.length];
  const uneven = expected === got ? [] : [`${expected} places on the direct connection, ${got} here`];
  if (direct.lines.length === 0 && direct.places.length === 0) return ['nothing shown'];
  return [...unexpected, ...differences(direct.lines, pgweir.lines), ...new Set(strayed), ...uneven];
}

/** The first lines that differ are enough: what follows is often a consequence. */
function differences(expected: readonly string[], got: readonly string[]): string[] {
  const at = expected.findIndex((line, index) => line !== got[index]);
  if (at === -1 && expected.length === got.length) return [];
  const from = at === -1 ? expected.length : at;
  const show = (lines: readonly string[]) => lines.slice(from, from + 4).join('\n        ') || '(nothing more)';
  return [`line ${from + 1}\n      direct:\n        ${show(expected)}\n      through pgweir:\n        ${show(got)}`];
}

function placesOf({ idioms }: Transcript, nodes: Nodes): Map<Statement, 'replica' | 'primary' | 'both'> {
  const places = new Map<Statement, 'replica' | 'primary' | 'both'>();
  for (const { statement, port } of [...idioms.values()].flatMap((scene) => scene.places)) {
    const place = placeName(port, nodes);
    const known = places.get(statement) ?? place;
    places.set(statement, known === place ? place : 'both');
  }
  return places;
}

function placeName(port: number, nodes: Nodes): 'replica' | 'primary' {
  return nodes.replicas.includes(port) ? 'replica' : 'primary';
}
