import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { clientMessage } from './transcript.ts';
import type { WireClient } from './wire-client.ts';
import { WireError } from './wire-message.ts';

/**
 * Proves who the client is, by whichever way is asked for, and reads on to the first ReadyForQuery. Written for the tests
 * alone from RFC 5802 and the protocol documentation, so that it can contradict src/auth.
 */
export async function logIn(client: WireClient, user: string, password: string): Promise<void> {
  let scram: Scram | null = null;
  for (;;) {
    const [message] = await client.receive(1);
    if (message === undefined || message.name === 'ReadyForQuery') return;
    if (message.name === 'ErrorResponse') throw new WireError(message);
    if (message.name !== 'Authentication') continue;
    const data = message.body.subarray(4);
    switch (message.body.readInt32BE()) {
      case 0:
        break;
      case 3:
        client.send(clientMessage('Password', `${password}\0`));
        break;
      case 5:
        client.send(clientMessage('Password', `${md5Password(user, password, data)}\0`));
        break;
      case 10: {
        scram = new Scram(password);
        const first = scram.first();
        client.send(clientMessage('Password', `SCRAM-SHA-256\0${lengthOf(first)}${first}`));
        break;
      }
      case 11:
        client.send(clientMessage('Password', scram?.final(data.toString('latin1'))));
        break;
      case 12:
        scram?.verify(data.toString('latin1'));
        break;
      default:
        throw new Error(`no way of logging in is known for ${message}`);
    }
  }
}

function md5Password(user: string, password: string, salt: Buffer): string {
  const md5 = (...parts: (string | Buffer)[]) => parts.reduce((hash, part) => hash.update(part), createHash('md5')).digest('hex');
  return `md5${md5(md5(password, user), salt)}`;
}

function lengthOf(text: string): string {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(text.length);
  return bytes.toString('latin1');
}

/** SCRAM-SHA-256 without channel binding (RFC 5802 section 3, RFC 7677). */
class Scram {
  readonly #password: string;
  readonly #firstBare = `n=,r=${randomBytes(18).toString('base64')}`;
  #serverSignature = '';

  constructor(password: string) {
    this.#password = password;
  }

  first(): string {
    return `n,,${this.#firstBare}`;
  }

  final(serverFirst: string): string {
    const [, nonce = '', salt = '', iterations = ''] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(serverFirst) ?? [];
    const hmac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest();
    const salted = pbkdf2Sync(this.#password, Buffer.from(salt, 'base64'), Number(iterations), 32, 'sha256');
    const withoutProof = `c=biws,r=${nonce}`;
    const authMessage = `${this.#firstBare},${serverFirst},${withoutProof}`;
    const clientKey = hmac(salted, 'Client Key');
    const signature = hmac(createHash('sha256').update(clientKey).digest(), authMessage);
    const proof = clientKey.map((byte, index) => byte ^ (signature[index] ?? 0));
    this.#serverSignature = hmac(hmac(salted, 'Server Key'), authMessage).toString('base64');
    return `${withoutProof},p=${Buffer.from(proof).toString('base64')}`;
  }

  verify(serverFinal: string): void {
    if (serverFinal !== `v=${this.#serverSignature}`) throw new Error('the server did not prove that it knows the password');
  }
}
