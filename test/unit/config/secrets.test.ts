import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { diffConfigs } from '../../../src/config/diff.ts';
import { Secret } from '../../../src/util/secret.ts';
import { configOf, problemsOf } from './validate-text.ts';

const CANARY = 'canary-7f3a';
const VERIFIER = `SCRAM-SHA-256$4096:c2FsdA==$${'A'.repeat(43)}=:${'B'.repeat(43)}=`;

/** Every place of a configuration where a secret belongs. */
const WITH_SECRETS = `backends: [pg-1]
monitor: { user: m, password: \${CANARY} }
auth:
  users:
    - { name: a, password: ${CANARY} }
    - { name: b, password_file: canary }
    - { name: c, verifier: ${VERIFIER} }
  query: { user: q, password: "${CANARY}" }
`;
const SURROUNDINGS = { env: { CANARY }, files: { '/etc/pgweir/canary': CANARY } };

/** Every way in which a value gets into a log by accident. */
function printed(value: unknown): string {
  return [
    inspect(value, { depth: 20, showHidden: true, getters: true }),
    inspect(value, { depth: 20, customInspect: false }),
    JSON.stringify(value),
    String(value),
    `${value}`,
    Object.getOwnPropertyNames(Object(value)).join(),
  ].join('\n');
}

describe('a secret', () => {
  const config = configOf(WITH_SECRETS, SURROUNDINGS);
  const secrets = [
    config.monitor.password,
    ...config.auth.users.map((user) => user.password ?? user.verifier),
    config.auth.query?.password,
  ];

  it('is there for whoever asks for it by name', () => {
    expect(secrets.map((secret) => secret?.reveal())).toEqual([CANARY, CANARY, CANARY, VERIFIER, CANARY]);
  });

  it('is shown by nothing that prints a configuration', () => {
    for (const value of [
      config,
      structuredClone(JSON.parse(JSON.stringify(config))),
      ...secrets,
      new Error('x', { cause: config }),
    ]) {
      expect(printed(value)).not.toContain(CANARY);
      expect(printed(value)).not.toContain(VERIFIER);
    }
    expect(JSON.stringify(config)).toContain('[redacted]');
  });

  it('is not shown when it changes', () => {
    const changed = configOf(WITH_SECRETS, { env: { CANARY: `${CANARY}-2` }, files: { '/etc/pgweir/canary': `${CANARY}-3` } });
    const changes = diffConfigs(config, changed);
    expect(changes.map(({ path, from, to }) => [path, from, to])).toEqual([
      ['monitor.password', '[redacted]', '[redacted]'],
      ['auth.users[1].password', '[redacted]', '[redacted]'],
    ]);
  });

  it('that reaches a template or a concatenation leaves a mark only', () => {
    expect(`password=${Secret.from(CANARY)}`).toBe('password=[redacted]');
    expect(`${[Secret.from(CANARY)]}`).toBe('[redacted]');
  });

  it.each([
    ['as a number', 'monitor: { user: m, password: 70707070 }\nbackends: [1]\n'],
    ['as a duration', `monitor: { interval: ${CANARY}, user: [${CANARY}] }\n`],
    ['as a size', `limits: { batch_bytes: ${CANARY} }\n`],
    ['as a choice', `pool: { mode: ${CANARY} }\nauth: { rules: [ { method: ${CANARY}, from: ${CANARY}, tls: ${CANARY} } ] }\n`],
    ['as an address', `backends: [ "postgres://u:${CANARY}@h:1/d", "${CANARY} x" ]\nlisten: ${CANARY}\n`],
    ['as a path', `tls: { cert_file: ${CANARY}, key_file: ${CANARY} }\nmonitor: { password_file: ${CANARY} }\n`],
    ['as a verifier', `auth: { users: [ { name: a, verifier: ${CANARY} } ] }\n`],
    ['as a mapping', `monitor: { user: m, password: { value: ${CANARY} } }\n`],
    ['behind a quoted text', `monitor: { user: m, password: "x" ${CANARY} }\n`],
    ['behind a colon', `monitor:\n  password: a: ${CANARY}\n`],
    ['with a wrong escape', `monitor: { password: "\\q${CANARY}" }\n`],
    ['with a tab', `monitor:\n\tpassword: ${CANARY}\n`],
    ['as an alias', `monitor: { password: *${CANARY} }\n`],
    ['as a tag', `monitor: { password: !${CANARY} x }\n`],
    ['that is never closed', `monitor: { password: "${CANARY}\n`],
    [
      'from a variable in a wrong place',
      'pool: { mode: "${CANARY}", max_per_backend: "${CANARY}" }\nlog: { level: "${CANARY}" }\n',
    ],
  ])('is not repeated by a problem, %s', (_, yaml) => {
    const problems = problemsOf(yaml, SURROUNDINGS).join('\n');
    expect(problems).not.toBe('');
    expect(problems).not.toContain(CANARY);
    expect(problems).not.toContain('70707070');
  });
});
