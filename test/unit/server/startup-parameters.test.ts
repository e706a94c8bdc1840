import { expect, test } from 'vitest';
import { sortParameters } from '../../../src/server/startup-parameters.ts';

function sorted(parameters: Record<string, string>) {
  const { backend, own, applicationName, replication } = sortParameters(new Map(Object.entries(parameters)));
  return { backend: Object.fromEntries(backend), own: Object.fromEntries(own), applicationName, replication };
}

const nothing = { backend: {}, own: {}, applicationName: '', replication: null };

test.each<[what: string, parameters: Record<string, string>, expected: Partial<ReturnType<typeof sorted>>]>([
  [
    'settings go to the backend, by their names in lower case',
    { DateStyle: 'ISO', TimeZone: 'UTC' },
    { backend: { datestyle: 'ISO', timezone: 'UTC' } },
  ],
  ['the name of the application travels with the session', { application_name: 'web' }, { applicationName: 'web' }],
  [
    'so it does when it is given by options',
    { options: '-c application_name=tea\\ shop -c a=b' },
    { applicationName: 'tea shop', backend: { options: '-c a=b' } },
  ],
  [
    'a name given by itself is stronger than one in options',
    { application_name: '', options: '--application-name=web' },
    { applicationName: '' },
  ],
  ['settings of pgweir are its own', { 'pgweir.route': 'replica' }, { own: { 'pgweir.route': 'replica' } }],
  ['options of the protocol go nowhere', { '_pq_.thing': '1' }, {}],
  [
    'options without pgweir stay as they are',
    { options: '-c search_path=a\\ b --geqo=off' },
    { backend: { options: '-c search_path=a\\ b --geqo=off' } },
  ],
  [
    'pgweir is taken out of options: -c name=value',
    { options: '-c pgweir.route=replica' },
    { own: { 'pgweir.route': 'replica' } },
  ],
  [
    'pgweir is taken out of options: -cname=value',
    { options: '-cpgweir.route=replica -c a=b' },
    { own: { 'pgweir.route': 'replica' }, backend: { options: '-c a=b' } },
  ],
  [
    'pgweir is taken out of options: --name=value',
    { options: '-d 1 --pgweir.max-staleness=5s' },
    { own: { 'pgweir.max_staleness': '5s' }, backend: { options: '-d 1' } },
  ],
  [
    'escapes are undone for pgweir and kept for others',
    { options: '-c pgweir.route=repl\\ica -c a=b\\\\c' },
    { own: { 'pgweir.route': 'replica' }, backend: { options: '-c a=b\\\\c' } },
  ],
  ['a value may hold an equals sign', { options: '-c pgweir.route=a=b' }, { own: { 'pgweir.route': 'a=b' } }],
  ['options that end in the middle are for the backend to complain about', { options: '-c' }, { backend: { options: '-c' } }],
  [
    'what looks like pgweir in a value does not',
    { options: '-c a=--pgweir.route=x' },
    { backend: { options: '-c a=--pgweir.route=x' } },
  ],
  ['replication=database asks for replication', { replication: 'database' }, { replication: 'database' }],
  ['replication=true asks for replication', { replication: 'true' }, { replication: 'true' }],
  ['replication=off does not', { replication: 'off' }, {}],
  ['replication=No does not', { replication: 'No' }, {}],
])('%s', (_what, parameters, expected) => {
  expect(sorted(parameters)).toEqual({ ...nothing, ...expected });
});
