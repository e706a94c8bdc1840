import { Authenticator } from '../../../src/auth/authentication.ts';
import type { RoleVerifier } from '../../../src/auth/role-verifier.ts';
import { type AuthMethod, authRule } from '../../../src/auth/rules.ts';
import { UserStore } from '../../../src/auth/users.ts';
import { LoginMachine, type LoginOptions, type LoginStep } from '../../../src/session/login.ts';
import { Secret } from '../../../src/util/secret.ts';
import { Message } from '../../support/wire-message.ts';

export interface Setup {
  readonly method?: AuthMethod;
  readonly tls?: LoginOptions['tls'];
}

/** Drives a login machine as a server would, for a user `app` with the password `right`. */
export class LoginDriver {
  readonly machine: LoginMachine;
  /** Everything that was sent to the client. */
  sent: Buffer = Buffer.alloc(0);
  /** How often TLS was begun. */
  readonly handshakes: Extract<LoginStep, { kind: 'start tls' }>[] = [];

  constructor({ method = 'password', tls = 'none' }: Setup = {}) {
    this.machine = new LoginMachine({ authenticator: authenticatorWith(method), address: '127.0.0.1', tls });
  }

  /** Gives bytes to the machine and runs it until it wants more or is done. */
  async give(...chunks: readonly Buffer[]): Promise<LoginStep> {
    let step = await this.#run();
    for (const chunk of chunks) {
      if (step.kind !== 'read') return step;
      this.machine.receive(chunk);
      step = await this.#run();
    }
    return step;
  }

  /** What was sent, as messages. */
  get messages(): Message[] {
    const messages: Message[] = [];
    for (let at = 0; at < this.sent.length; ) {
      const end = at + 1 + this.sent.readUInt32BE(at + 1);
      messages.push(new Message(this.sent.subarray(at, end)));
      at = end;
    }
    return messages;
  }

  /** What was sent since the last call. */
  take(): Buffer {
    const sent = this.sent;
    this.sent = Buffer.alloc(0);
    return sent;
  }

  async #run(): Promise<LoginStep> {
    for (;;) {
      const step = await this.machine.step();
      if (step.kind === 'read' || step.kind === 'cancel') return step;
      if (step.kind === 'start tls') {
        this.handshakes.push(step);
        this.#send(step.answer);
        this.machine.secured(null);
        continue;
      }
      this.#send(step.bytes);
      if (step.kind !== 'send') return step;
    }
  }

  #send(bytes: Buffer): void {
    this.sent = Buffer.concat([this.sent, bytes]);
  }
}

function authenticatorWith(method: AuthMethod): Authenticator {
  const clock = { now: () => 0, wallNow: () => 0, after: () => ({ cancel: () => undefined }) };
  const source = { lookup: (): Promise<RoleVerifier | null> => Promise.resolve(null), doubt: () => undefined };
  const user = { name: 'app', password: Secret.from('right'), verifier: null };
  const users = new UserStore({ users: [user], source, saltSecret: Secret.from('salt'), clock });
  const rule = authRule({ from: null, database: null, user: null, tls: null, method });
  return new Authenticator({ rules: [rule], users, random: (bytes) => Buffer.alloc(bytes, 0x41) });
}
