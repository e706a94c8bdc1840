import { createHash } from 'node:crypto';
import { Secret } from '../util/secret.ts';

/** Bytes of the salt in AuthenticationMD5Password. */
export const MD5_SALT_BYTES = 4;

const VERIFIER = /^md5[0-9a-f]{32}$/;

/** Whether `text` is an md5 verifier, as in `pg_authid.rolpassword`. Source: get_password_type in src/backend/libpq/crypt.c. */
export function isMd5Verifier(text: string): boolean {
  return VERIFIER.test(text);
}

/**
 * The verifier of a password: `md5` and the hash of password and user name. As good as the password for md5 logins.
 * @param password bytes
 * @param user one character for each byte
 */
export function md5Verifier(password: Buffer, user: string): Secret {
  return Secret.from(md5(Buffer.concat([password, Buffer.from(user, 'latin1')])));
}

/** What a client answers to AuthenticationMD5Password: the hash of the verifier's digits and the salt. */
export function md5Response(verifier: Secret, salt: Buffer): string {
  return md5(Buffer.concat([Buffer.from(verifier.reveal().slice('md5'.length), 'latin1'), salt]));
}

function md5(bytes: Buffer): string {
  return `md5${createHash('md5').update(bytes).digest('hex')}`;
}
