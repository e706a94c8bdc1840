import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { endPointHash } from '../../../src/auth/channel-binding.ts';
import { certificatePath } from '../../support/certificates.ts';

test.each([
  ['server', 'sha256'],
  ['rsa-sha1', 'sha256'],
  ['rsa-sha512', 'sha512'],
  ['rsa-pss-sha384', 'sha384'],
  ['ecdsa-sha384', 'sha384'],
])('a certificate like %s is hashed with %s', (name, algorithm) => {
  const der = derOf(name);
  expect(endPointHash(der)?.toString('hex')).toBe(createHash(algorithm).update(der).digest('hex'));
});

test('an Ed25519 certificate has no hash, so nothing is bound to it', () => {
  expect(endPointHash(derOf('ed25519'))).toBeNull();
});

test('a part of a certificate has no hash', () => {
  const der = derOf('server');
  for (let length = 0; length < der.length; length++) expect(endPointHash(der.subarray(0, length))).toBeNull();
});

test('a damaged certificate does no harm', () => {
  const der = derOf('rsa-pss-sha384');
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.nat(255), (at, value) => {
      const damaged = Buffer.from(der);
      damaged[at] = value;
      expect([undefined, 28, 32, 48, 64]).toContain(endPointHash(damaged)?.length);
    }),
    { numRuns: 2_000 },
  );
});

function derOf(name: string): Buffer {
  return new X509Certificate(readFileSync(certificatePath(`${name}.pem`))).raw;
}
