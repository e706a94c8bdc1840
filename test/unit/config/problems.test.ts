import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MINIMUM, problemsOf } from './validate-text.ts';

/** [what it is about, the text, all of its problems] */
const BROKEN: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'nothing at all',
    '',
    [
      '1:1: backends is required: The nodes of one PostgreSQL cluster, in any order: which of them is the primary is found out.',
      '1:1: monitor is required: How backends are watched.',
    ],
  ],
  ['a list', '- a\n- b\n', ['1:1: must be a mapping: indented lines with "name: value"']],
  ['a text', 'hello\n', ['1:1: must be a mapping: indented lines with "name: value"']],
  ['a bracket that is not closed', 'backends: [a\nmonitor: { user: m }\n', ['2:1: is not YAML: the indentation does not fit']],
  ['a tab', 'backends: [pg-1]\nmonitor:\n\tuser: m\n', ['3:1: is not YAML: indent with spaces, not with tabs']],
  [
    'something behind a quoted text',
    `backends: [pg-1]\nmonitor:\n  user: "a" b\n`,
    ['3:13: is not YAML: this is not expected here; a text with special characters needs quotes'],
  ],
  ['two documents', `${MINIMUM}---\n${MINIMUM}`, ['3:1: is a second document: one file holds one configuration']],
  [
    'an escape',
    `${MINIMUM}log: { level: "\\q" }\n`,
    ['3:16: has an unknown escape in double quotes: use single quotes, or write \\\\ for a backslash'],
  ],
  [
    'more workers than there is to divide among them',
    `${MINIMUM}workers: 4\npool: { max_per_backend: 3 }\nlimits: { clients: 2, clients_per_user: 1 }\n`,
    [
      '4:26: pool.max_per_backend must be at least workers: each of them needs one',
      '5:20: limits.clients must be at least workers: each of them needs one',
      '5:41: limits.clients_per_user must be at least workers: each of them needs one',
    ],
  ],
  [
    'names that are not settings',
    `${MINIMUM}moniter: {}\npool: { max_conns: 1, min_idel: 0 }\nthreads: 2\n`,
    [
      '3:1: moniter is not a setting; did you mean monitor?',
      '4:9: pool.max_conns is not a setting; known here: mode, max_per_backend, shared_reads, prepared_reads, min_idle, idle_timeout, max_lifetime, wait_timeout, max_waiters, statements_per_connection',
      '4:23: pool.min_idel is not a setting; did you mean min_idle?',
      '5:1: threads is not a setting; known here: listen, backends, backend_tls, tls, monitor, auth, routing, pool, limits, http, shutdown, workers, log',
    ],
  ],
  [
    'names with dots, and what every object has',
    `${MINIMUM}"monitor.user": x\n__proto__: { a: 1 }\nconstructor: 1\n`,
    [
      '3:1: monitor.user is not a setting; known here: listen, backends, backend_tls, tls, monitor, auth, routing, pool, limits, http, shutdown, workers, log',
      '4:1: __proto__ is not a setting; known here: listen, backends, backend_tls, tls, monitor, auth, routing, pool, limits, http, shutdown, workers, log',
      '5:1: constructor is not a setting; known here: listen, backends, backend_tls, tls, monitor, auth, routing, pool, limits, http, shutdown, workers, log',
    ],
  ],
  [
    'a setting given twice',
    `${MINIMUM}pool:\n  min_idle: 1\n  min_idle: 2\n`,
    ['5:3: pool.min_idle is given twice: first in line 4'],
  ],
  [
    'an alias and a tag',
    'backends: &all [pg-1]\nmonitor: { user: !!str m }\n',
    ['1:16: backends uses an alias: write the value out', '2:24: monitor.user has a YAML tag: leave it out'],
  ],
  [
    'names that are not text',
    `${MINIMUM}1: 2\n? [a]\n: b\n`,
    ['3:1: has a name that is not text', '4:3: has a name that is not text'],
  ],
  [
    'wrong kinds of values',
    `${MINIMUM}routing: 5\nlisten: 0.0.0.0:6432\npool: [a]\nlog: { level: { a: b } }\nhttp: 9187\n`,
    [
      '3:10: routing must be a mapping: indented lines with "name: value"',
      '4:9: listen must be a list: one line with "- " for each entry',
      '5:1: pool must be a mapping: indented lines with "name: value"',
      '6:8: log.level must be one of: debug, info, warn, error',
      '7:7: http must be a mapping: indented lines with "name: value"',
    ],
  ],
  [
    'durations',
    `${MINIMUM}pool: { wait_timeout: 5, idle_timeout: 5 parsecs, max_lifetime: -1s }\nrouting: { max_lag: 0s, fence_wait: off }\nlimits: { query_timeout: 0 }\n`,
    [
      '3:23: pool.wait_timeout needs a unit: write for example 100ms, 5s, 10m or 1h',
      '3:40: pool.idle_timeout is not a duration: write for example 100ms, 5s, 10m or 1h, or off',
      '3:65: pool.max_lifetime is not a duration: write for example 100ms, 5s, 10m or 1h, or off',
      '4:21: routing.max_lag must be between 1ms and 24d',
      '4:37: routing.fence_wait is not a duration: write for example 100ms, 5s, 10m or 1h',
      '5:26: limits.query_timeout needs a unit: write for example 100ms, 5s, 10m or 1h, or off',
    ],
  ],
  [
    'sizes',
    `${MINIMUM}limits: { batch_bytes: 65536, max_parse_bytes: 1 TB, held_reply_bytes: 1GiB, statement_bytes: 0.5B }\n`,
    [
      '3:24: limits.batch_bytes needs a unit: write for example 64KiB, 1MB or 1GiB',
      '3:48: limits.max_parse_bytes is not a size: write for example 64KiB, 1MB or 1GiB',
      '3:72: limits.held_reply_bytes must be between 0B and 16MiB',
      '3:95: limits.statement_bytes is not a size: write for example 64KiB, 1MB or 1GiB',
    ],
  ],
  [
    'numbers, choices and flags',
    `${MINIMUM}pool: { max_per_backend: 0, min_idle: 1.5, max_waiters: many, mode: Transaction }\nauth: { rules: [ { tls: yes, method: scram } ] }\n`,
    [
      '3:26: pool.max_per_backend must be between 1 and 10000',
      '3:39: pool.min_idle must be a whole number',
      '3:57: pool.max_waiters must be a whole number',
      '3:69: pool.mode must be one of: transaction, session (did you mean transaction?)',
      '4:25: auth.rules[0].tls must be true or false',
      '4:38: auth.rules[0].method must be one of: scram-sha-256, md5, password, trust, reject',
    ],
  ],
  [
    'values that are not there',
    'backends:\nmonitor:\n  user:\nlog: { level: "" }\n',
    [
      '1:10: backends must be a list: one line with "- " for each entry',
      '3:8: monitor.user has no value',
      '4:15: log.level must be one of: debug, info, warn, error',
    ],
  ],
  [
    'texts that YAML reads as something else',
    'backends: [pg-1]\nmonitor: { user: 5, password: 0123, database: true }\n',
    [
      '2:18: monitor.user must be text: put it in quotes',
      '2:31: monitor.password must be text: put it in quotes',
      '2:47: monitor.database must be text: put it in quotes',
    ],
  ],
  [
    'addresses',
    `backends:
  - ::1
  - postgres://user:secret@host:5432/db
  - pg-1:99999
  - pg-1:0
  - a b
  - ""
  - 5432
  - {}
  - null
monitor: { user: m }
http: 127.0.0.1
`,
    [
      '2:5: backends[0].address must have an IPv6 address in brackets: [::1]:5432',
      '3:5: backends[1].address must be host:port, not a URL or a path',
      '4:5: backends[2].address must have a port between 1 and 65535',
      '5:5: backends[3].address must have a port between 1 and 65535',
      '6:5: backends[4].address must be host:port, for example db1.example.org:5432',
      '7:5: backends[5].address must be host:port, for example db1.example.org:5432',
      '8:5: backends[6] must be a mapping: indented lines with "name: value"',
      '9:5: backends[7].address is required: Host name or address and port (usually 5432).',
      '10:5: backends[8].address is required: Host name or address and port (usually 5432).',
      '12:7: http.address needs a port: write host:port',
    ],
  ],
  [
    'backends and listeners that are there already',
    `listen: [ 0.0.0.0:1, "0.0.0.0:1", 127.0.0.1:0, 127.0.0.1:0 ]
backends: [ pg-1, pg-1:5432, { address: pg-2, name: a }, { address: pg-3, name: a } ]
monitor: { user: m }
`,
    ['1:22: listen[1] listens where an earlier listener does', '2:19: backends[1] has the address of an earlier backend'],
  ],
  [
    'names of backends that are taken',
    'backends: [ { address: pg-2, name: a }, { address: pg-3, name: a } ]\nmonitor: { user: m }\n',
    ['1:41: backends[1] has the name of an earlier backend'],
  ],
  [
    'empty lists',
    'backends: []\nmonitor: { user: m }\nauth: { rules: [] }\n',
    ['1:1: backends must have at least one entry', '3:9: auth.rules must have at least one entry'],
  ],
  [
    'variables that are not set',
    'backends: [ "${HOST}:${PORT}", pg-1 ]\nmonitor: { user: m, password: ${PASSWORD} }\n',
    [
      '1:13: backends[0] needs the environment variable HOST, which is not set',
      '1:13: backends[0] needs the environment variable PORT, which is not set',
      '2:31: monitor.password needs the environment variable PASSWORD, which is not set',
    ],
  ],
  [
    'files that cannot be read, and secrets given twice',
    `backends: [pg-1]
monitor: { user: m, password_file: gone }
tls: { cert_file: gone, key_file: "" }
auth:
  users:
    - { name: a, password: x, password_file: there }
`,
    [
      '2:36: monitor.password_file names a file that cannot be read (ENOENT)',
      '3:19: tls.cert_file names a file that cannot be read (ENOENT)',
      '3:35: tls.key_file must not be empty',
      '6:46: auth.users[0].password_file cannot be given together with password: remove one of them',
    ],
  ],
  [
    'users',
    `${MINIMUM}auth:
  users:
    - { name: a }
    - { name: b, password: x, verifier: ${`md5${'0'.repeat(32)}`} }
    - { name: c, verifier: plain }
    - { password: x }
`,
    [
      '5:7: auth.users[0].password is required, or a verifier',
      '6:41: auth.users[1].verifier cannot be given together with a password: remove one of them',
      '7:28: auth.users[2].verifier must be SCRAM-SHA-256$... or md5..., as in pg_authid.rolpassword',
      '8:7: auth.users[3].name is required: The role.',
    ],
  ],
  [
    'users with one name',
    `${MINIMUM}auth: { users: [ { name: a, password: x }, { name: a, password: y } ] }\n`,
    ['3:52: auth.users[1].name is the name of an earlier user'],
  ],
  [
    'networks',
    `${MINIMUM}auth:
  rules:
    - { from: 10.0.0.0/33, method: trust }
    - { from: localhost, method: trust }
    - { from: 1.2.3, method: trust }
    - { from: 1.2.3.256, method: trust }
    - { from: ::1/129, method: trust }
    - { from: ":::", method: trust }
    - { from: 1.2.3.4/8/9, method: trust }
`,
    [
      '5:15: auth.rules[0].from must have a prefix between /0 and /32',
      '6:15: auth.rules[1].from must be an address or a network, for example 10.0.0.0/8 or ::1',
      '7:15: auth.rules[2].from must be an address or a network, for example 10.0.0.0/8 or ::1',
      '8:15: auth.rules[3].from must be an address or a network, for example 10.0.0.0/8 or ::1',
      '9:15: auth.rules[4].from must have a prefix between /0 and /128',
      '10:15: auth.rules[5].from must be an address or a network, for example 10.0.0.0/8 or ::1',
      '11:15: auth.rules[6].from must be an address or a network, for example 10.0.0.0/8 or ::1',
    ],
  ],
  [
    'settings that do not go together',
    `backends: [pg-1]
monitor: { user: m, interval: 2s, timeout: 5s }
pool: { min_idle: 100 }
backend_tls: { cert_file: there }
tls: { cert_file: there, key_file: there, mode: verify-client }
auth: { query: { password: x } }
routing: { rules: [ { route: replica } ] }
`,
    [
      '2:1: monitor.idle_interval must not be shorter than interval',
      '2:1: monitor.observation_life must be at least idle_interval and timeout together',
      '3:19: pool.min_idle must not be more than max_per_backend',
      '4:1: backend_tls.key_file is required with cert_file',
      '5:1: tls.ca_file is required with mode: verify-client',
      '6:9: auth.query.user is required with a password',
      '7:21: routing.rules[0] needs a user or a database',
    ],
  ],
  [
    'a rule for TLS where there is none',
    `${MINIMUM}auth: { rules: [ { tls: true, method: trust }, { method: trust } ] }\n`,
    ['3:25: auth.rules[0].tls never holds: there is no tls in this configuration'],
  ],
];

const FILES = { '/etc/pgweir/there': 'content' };

describe('a broken configuration', () => {
  it.each(BROKEN)('with %s has all of its problems told at once', (_, yaml, expected) => {
    expect(problemsOf(yaml, { files: FILES })).toEqual(expected);
  });

  it('is told apart from a right one in any text', () => {
    const line = fc.stringMatching(/^[a-z_{}[\]:"'$#&*!|>%@`\- \t\n0-9]{0,40}$/);
    fc.assert(
      fc.property(fc.array(line, { maxLength: 8 }), (lines) => {
        expect(problemsOf(lines.join('\n')).length).toBeGreaterThan(0);
      }),
    );
  });

  it('is told apart from a right one after any damage to one', () => {
    const whole = `${MINIMUM}listen: [ "[::]:1" ]\npool: { mode: session, idle_timeout: 5s }\nlog:\n  level: debug\n`;
    fc.assert(
      fc.property(fc.nat(whole.length), fc.nat(5), fc.string({ maxLength: 3 }), (at, cut, put) => {
        for (const problem of problemsOf(whole.slice(0, at) + put + whole.slice(at + cut))) expect(problem).toMatch(/^\d+:\d+: /);
      }),
    );
  });
});
