import { inspect } from 'node:util';
import { deserialize, serialize } from 'node:v8';
import { expect, test } from 'vitest';
import type { Config } from '../../../src/config/settings.ts';
import { Secret } from '../../../src/util/secret.ts';
import { fromPlainConfig, toPlainConfig } from '../../../src/workers/plain-config.ts';
import { configOf, MINIMUM } from '../config/validate-text.ts';

/** As through the channel between two processes. */
const travel = (config: Config) => fromPlainConfig(deserialize(serialize(toPlainConfig(config))));

const SECRETS = `backends: [pg-1, { address: "pg-2:5433", weight: 3 }]
monitor: { user: m, password: monitor-secret }
auth: { users: [ { name: a, password: user-secret } ], query: { user: q, password: query-secret } }
limits: { clients_per_user: 5 }
`;

test.each([MINIMUM, SECRETS])('a configuration arrives as it was', (yaml) => {
  const config = configOf(yaml);
  expect(travel(config)).toEqual(config);
});

test('its secrets arrive, and are secret again', () => {
  const config = travel(configOf(SECRETS));
  expect(config.monitor.password).toBeInstanceOf(Secret);
  const revealed = [config.monitor.password, config.auth.users[0]?.password, config.auth.query?.password];
  expect(revealed.map((secret) => secret?.reveal())).toEqual(['monitor-secret', 'user-secret', 'query-secret']);
  expect(inspect(config, { depth: 10 })).not.toMatch(/(monitor|user|query)-secret/);
});
