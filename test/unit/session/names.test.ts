import { describe, expect, test } from 'vitest';
import { Aftermath } from '../../../src/session/aftermath.ts';
import { Names } from '../../../src/session/names.ts';
import type { StatementPort } from '../../../src/session/ports.ts';
import { SessionStatements, StatementRegistry } from '../../../src/session/prepared-statements.ts';
import { SessionState } from '../../../src/session/state.ts';
import { ClientMessage, Work } from '../../../src/session/work.ts';
import { unloadedCatalog } from '../../../src/sql/catalog.ts';
import { Measures } from '../../../src/util/measures.ts';
import { SettingsSet } from '../../../src/util/settings-set.ts';
import { clientMessage } from '../../support/transcript.ts';
import { facts } from '../routing/fixtures.ts';
import { ManualClock } from '../topology/manual-clock.ts';

const port = {
  catalog: () => unloadedCatalog,
  generation: 0,
  facts: () => facts(),
} satisfies Partial<StatementPort> as Partial<StatementPort> as StatementPort;

/** A session, and what its client calls by a name. */
function session() {
  const registry = new StatementRegistry(100_000);
  const state = new SessionState('split', new SessionStatements(registry, 100), SettingsSet.empty);
  const names = new Names(state, port, new Aftermath(state, port, new Measures(), new ManualClock()), new Map());
  /** A work that is under way. */
  const send = (...messages: readonly Buffer[]): Work => {
    const work = new Work('batch', 0);
    for (const bytes of messages) {
      const message = new ClientMessage(bytes[0] ?? 0, bytes, 0, bytes.length, bytes.length);
      names.resolve(message, work, true);
      work.add(message);
    }
    work.sent = true;
    state.works.push(work);
    return work;
  };
  return { state, names, send, meaning: (name: string) => state.statements.get(name)?.statement.text ?? null };
}

const parse = (name: string, text: string) => clientMessage('Parse', name, text, []);
const close = (name: string) => clientMessage('Close', 'S', name);

describe('what is under way with names', () => {
  test.each<[string, (names: Names, work: Work) => void]>([
    ['done', (names, work) => names.confirm(work)],
    ['failed', (names, work) => names.takeBack(work)],
    ['never run', (names, work) => names.takeBackAll(work)],
  ])('is over when it was %s', (_how, end) => {
    const { state, names, send } = session();
    // Something is always under way.
    send(parse('first', 'SELECT 0'));
    for (let n = 0; n < 50; n++) {
      const work = send(parse(`s${n}`, 'SELECT 1'), close('first'));
      end(names, work);
      state.works.pop();
    }
    expect(state.namedBy.length).toBe(1);
  });

  test('is noted once for a work that is run again', () => {
    const { state, names, send } = session();
    const again = send(parse('a', 'SELECT 1'));
    send(parse('b', 'SELECT 2'));
    names.changesNamed(again);
    names.confirm(again);
    expect(state.namedBy).toEqual([state.works[1]]);
  });
});

describe('a work that was never run', () => {
  test('leaves the names as they were', () => {
    const { names, send, meaning } = session();
    names.confirm(send(parse('kept', 'SELECT 1'), parse('', 'SELECT 2')));
    const work = send(close('kept'), parse('kept', 'SELECT 3'), parse('new', 'SELECT 4'), parse('', 'SELECT 5'));
    expect([meaning('kept'), meaning('new'), meaning('')]).toEqual(['SELECT 3', 'SELECT 4', 'SELECT 5']);
    names.takeBackAll(work);
    expect([meaning('kept'), meaning('new'), meaning('')]).toEqual(['SELECT 1', null, 'SELECT 2']);
  });

  test('and whose messages were not kept leaves the names that it was skipped with', () => {
    const { names, send, meaning } = session();
    const work = send(parse('new', 'SELECT 1'));
    work.skipped = work.messages.map((message) => ({ message, failing: true }));
    work.messages.length = 0;
    names.takeBackAll(work);
    expect(meaning('new')).toBe(null);
  });
});
