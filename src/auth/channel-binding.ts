import { createHash } from 'node:crypto';

/**
 * Hash of a certificate for the channel binding type `tls-server-end-point` (RFC 5929 section 4.1): the hash function of
 * the certificate's signature, SHA-256 in place of MD5 and SHA-1. Null when the signature has none of its own (Ed25519)
 * or one that is not known here; channel binding is then not offered.
 *
 * @param certificate in DER
 */
export function endPointHash(certificate: Buffer): Buffer | null {
  const algorithm = signatureAlgorithm(certificate);
  return algorithm === null ? null : createHash(algorithm).update(certificate).digest();
}

/** Object identifiers in DER, as hexadecimal, of signatures and of hash functions. Source: RFC 8017 A.2, RFC 5758, RFC 5754. */
const HASH_OF: Readonly<Record<string, string>> = {
  '2a864886f70d010104': 'sha256', // md5WithRSAEncryption
  '2a864886f70d010105': 'sha256', // sha1WithRSAEncryption
  '2a864886f70d01010b': 'sha256', // sha256WithRSAEncryption
  '2a864886f70d01010c': 'sha384', // sha384WithRSAEncryption
  '2a864886f70d01010d': 'sha512', // sha512WithRSAEncryption
  '2a864886f70d01010e': 'sha224', // sha224WithRSAEncryption
  '2a8648ce3d0401': 'sha256', // ecdsa-with-SHA1
  '2a8648ce3d040301': 'sha224', // ecdsa-with-SHA224
  '2a8648ce3d040302': 'sha256', // ecdsa-with-SHA256
  '2a8648ce3d040303': 'sha384', // ecdsa-with-SHA384
  '2a8648ce3d040304': 'sha512', // ecdsa-with-SHA512
  '2b0e03021a': 'sha256', // id-sha1
  '608648016503040201': 'sha256', // id-sha256
  '608648016503040202': 'sha384', // id-sha384
  '608648016503040203': 'sha512', // id-sha512
  '608648016503040204': 'sha224', // id-sha224
};

const RSASSA_PSS = '2a864886f70d01010a';

const SEQUENCE = 0x30;
const OBJECT_IDENTIFIER = 0x06;
const CONTEXT_0 = 0xa0;

/** Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OBJECT IDENTIFIER, parameters }, ... }, RFC 5280. */
function signatureAlgorithm(certificate: Buffer): string | null {
  const outer = element(certificate, SEQUENCE);
  const signed = outer === null ? null : element(outer.content, SEQUENCE);
  const algorithm = signed === null ? null : element(signed.rest, SEQUENCE);
  const identifier = algorithm === null ? null : element(algorithm.content, OBJECT_IDENTIFIER);
  if (identifier === null) return null;
  const name = identifier.content.toString('hex');
  return name === RSASSA_PSS ? pssHash(identifier.rest) : (HASH_OF[name] ?? null);
}

/** RSASSA-PSS-params ::= SEQUENCE { hashAlgorithm [0] SEQUENCE { OBJECT IDENTIFIER, ... } DEFAULT sha1, ... }, RFC 8017 A.2.3. */
function pssHash(parameters: Buffer): string | null {
  const sequence = element(parameters, SEQUENCE);
  if (sequence === null) return null;
  const tagged = element(sequence.content, CONTEXT_0);
  if (tagged === null) return 'sha256';
  const algorithm = element(tagged.content, SEQUENCE);
  const identifier = algorithm === null ? null : element(algorithm.content, OBJECT_IDENTIFIER);
  return identifier === null ? null : (HASH_OF[identifier.content.toString('hex')] ?? null);
}

/** The DER element at the beginning of `bytes` if it has this tag, and what follows it. */
function element(bytes: Buffer, tag: number): { readonly content: Buffer; readonly rest: Buffer } | null {
  const first = bytes[1];
  if (bytes[0] !== tag || first === undefined || first === 0x80) return null;
  const lengthBytes = first < 0x80 ? 0 : first - 0x80;
  if (lengthBytes > 4 || bytes.length < 2 + lengthBytes) return null;
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(2, lengthBytes);
  const start = 2 + lengthBytes;
  if (bytes.length < start + length) return null;
  return { content: bytes.subarray(start, start + length), rest: bytes.subarray(start + length) };
}
