import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cidrContains, parseCidr, parseIp } from '../../../src/auth/cidr.ts';
import { type AuthRule, authRule, type ConfiguredRule, matchRules, rejection } from '../../../src/auth/rules.ts';
import { BugError } from '../../../src/util/assert.ts';

describe('a block of addresses', () => {
  test.each([
    ['10.0.0.0/8', '10.255.1.2', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['192.168.1.128/25', '192.168.1.200', true],
    ['192.168.1.128/25', '192.168.1.100', false],
    ['127.0.0.1', '127.0.0.1', true],
    ['127.0.0.1', '127.0.0.2', false],
    ['127.0.0.1/32', '::ffff:127.0.0.1', true],
    ['0.0.0.0/0', '203.0.113.9', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['::/0', '2001:db8::1', true],
    ['::/0', '203.0.113.9', false],
    ['fd00::/8', 'fdff::1', true],
    ['fd00::/8', 'fe00::1', false],
    ['fe80::/10', 'fe80::1%eth0', true],
    ['::1', '0:0:0:0:0:0:0:1', true],
    ['2001:db8::/33', '2001:db8:7fff::1', true],
    ['2001:db8::/33', '2001:db8:8000::1', false],
    ['0.0.0.0/0', '', false],
    ['::/0', 'nonsense', false],
  ])('%s and %s: %s', (block, address, inside) => {
    const cidr = parseCidr(block);
    expect(cidr !== null && cidrContains(cidr, address)).toBe(inside);
  });

  test.each([
    '',
    '/8',
    '10.0.0.0/33',
    '10.0.0/8',
    '10.0.0.256/8',
    '010.0.0.1',
    '::/129',
    ':::',
    '1::2::3',
    'g::',
    'localhost',
    '1:2:3:4:5:6:7',
  ])('%j is none', (text) => {
    expect(parseCidr(text)).toBeNull();
  });

  test('an IPv6 address is read however it is written', () => {
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        const url = new URL(`http://[${text}]/`).hostname.slice(1, -1);
        expect(parseIp(text)?.toString('hex')).toBe(parseIp(url)?.toString('hex'));
      }),
    );
  });
});

const any: ConfiguredRule = { from: null, database: null, user: null, tls: null, method: 'reject' };
const origin = { address: '10.1.2.3', database: 'shop', user: 'app', tls: false };

describe('rules', () => {
  test('the first one that matches decides', () => {
    const rules = listOf({ user: 'other', method: 'trust' }, { database: 'shop', method: 'md5' }, { method: 'trust' });
    expect(matchRules(rules, origin)).toEqual({ method: 'md5', rule: 1 });
  });

  test.each<[Partial<ConfiguredRule>, boolean]>([
    [{}, true],
    [{ from: '10.0.0.0/8' }, true],
    [{ from: '127.0.0.1' }, false],
    [{ database: 'shop' }, true],
    [{ database: 'sho' }, false],
    [{ user: 'app' }, true],
    [{ user: 'App' }, false],
    [{ tls: false }, true],
    [{ tls: true }, false],
    [{ from: '10.0.0.0/8', database: 'shop', user: 'app', tls: false }, true],
    [{ from: '10.0.0.0/8', database: 'shop', user: 'bob', tls: false }, false],
  ])('%j matches: %s', (rule, matches) => {
    expect(matchRules(listOf({ ...rule, method: 'trust' }), origin).method === 'trust').toBe(matches);
  });

  test('nobody gets in when none matches', () => {
    expect(matchRules(listOf({ user: 'other', method: 'trust' }), origin)).toEqual({ method: 'reject', rule: null });
  });

  test('without any, everybody proves a password with SCRAM', () => {
    expect(matchRules([], origin)).toEqual({ method: 'scram-sha-256', rule: 0 });
  });

  test('names beyond ASCII match as they come off the wire', () => {
    const rules = listOf({ user: 'jürgen', method: 'trust' });
    expect(matchRules(rules, { ...origin, user: Buffer.from('jürgen').toString('latin1') }).method).toBe('trust');
  });

  test('a refusal says who it is about, and whether a rule said so', () => {
    const who = 'host "10.1.2.3", user "app", database "shop"';
    expect(rejection(origin, null)).toMatchObject({
      sqlstate: '28000',
      message: `no authentication rule for ${who}, no encryption`,
    });
    expect(rejection({ ...origin, tls: true }, 0).message).toBe(
      `an authentication rule rejects connection for ${who}, SSL encryption`,
    );
  });

  test('an address that configuration should have refused is a bug', () => {
    expect(() => authRule({ ...any, from: 'localhost' })).toThrow(BugError);
  });
});

function listOf(...rules: readonly Partial<ConfiguredRule>[]): AuthRule[] {
  return rules.map((rule) => authRule({ ...any, ...rule }));
}
