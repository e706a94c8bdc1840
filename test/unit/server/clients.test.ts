import { describe, expect, it } from 'vitest';
import { type Client, Clients, type ProcessShare, slotOf } from '../../../src/server/clients.ts';

function client(processId: number, secret = 'abcd'): Client {
  const nothing = () => undefined;
  return {
    user: 'u',
    processId,
    secretKey: Buffer.from(secret),
    uses: () => false,
    cancel: () => Promise.resolve(),
    drain: nothing,
    terminate: nothing,
    tick: nothing,
  };
}

describe('process ids of clients', () => {
  it.each([
    { slot: 0, slots: 1 },
    { slot: 0, slots: 2 },
    { slot: 1, slots: 2 },
    { slot: 255, slots: 256 },
  ] satisfies ProcessShare[])('are positive, different, and tell who gave them out: %j', (share) => {
    const clients = new Clients(share);
    const ids = Array.from({ length: 1000 }, () => clients.newProcessId());
    expect(new Set(ids).size).toBe(1000);
    for (const id of ids) {
      expect(id).toBeGreaterThan(0);
      expect(slotOf(id, share.slots)).toBe(share.slot);
    }
  });

  it('are not those of clients that are there', () => {
    const share = { slot: 1, slots: 2 };
    const [first] = [new Clients(share).newProcessId()];
    const clients = new Clients<Client>(share);
    clients.add(client(first));
    expect(clients.newProcessId()).not.toBe(first);
  });

  it('of a forged request are nobody’s', () => {
    for (const id of [0, -1, -3, 2 ** 31 - 1, -(2 ** 31)]) {
      const clients = new Clients<Client>({ slot: 1, slots: 2 });
      expect(clients.withKey(id, Buffer.from('abcd'))).toBeNull();
    }
  });
});

describe('a key', () => {
  it('is good with its secret alone', () => {
    const clients = new Clients<Client>();
    const own = client(7);
    clients.add(own);
    expect(clients.withKey(7, Buffer.from('abcd'))).toBe(own);
    for (const wrong of ['abce', 'abc', 'abcde', '']) expect(clients.withKey(7, Buffer.from(wrong))).toBeNull();
    clients.remove(own);
    expect(clients.withKey(7, Buffer.from('abcd'))).toBeNull();
  });
});
