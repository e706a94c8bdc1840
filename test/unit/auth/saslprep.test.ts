import fc from 'fast-check';
import { expect, test } from 'vitest';
import { saslPrep } from '../../../src/auth/saslprep.ts';

test.each([
  ['a soft hyphen vanishes (RFC 4013)', 'I\u00adX', 'IX'],
  ['a feminine ordinal becomes a letter (RFC 4013)', '\u00aa', 'a'],
  ['a roman numeral becomes letters (RFC 4013)', '\u2168', 'IX'],
  ['no-break and ideographic spaces become spaces', 'a\u00a0b\u3000c', 'a b c'],
  ['a zero width space becomes a space, as in PostgreSQL', 'a\u200bb', 'a b'],
  ['a ligature is taken apart', '\ufb01', 'fi'],
  ['a decomposed letter is composed', 'e\u0301', '\u00e9'],
  ['characters beyond the basic plane stay', '\u{1d11e}a', '\u{1d11e}a'],
  ['right-to-left text passes whole', '\u0627\u0628', '\u0627\u0628'],
])('%s', (_, password, prepared) => {
  expect(saslPrep(Buffer.from(password)).toString()).toBe(prepared);
});

test.each([
  ['a control character beyond ASCII', 'a\u0085\u00adb'],
  ['a private use character', 'a\ue000\u00adb'],
  ['a character unassigned in Unicode 3.2', 'a\u0221\u00adb'],
  ['mixed directions (RFC 4013)', '\u06271'],
  ['nothing but characters that vanish', '\u00ad\u00ad'],
])('the bytes stay as they are with %s', (_, password) => {
  expect(saslPrep(Buffer.from(password)).equals(Buffer.from(password))).toBe(true);
});

test('ASCII stays as it is, control characters included', () => {
  const password = Buffer.from('a\u0007 b\u007f');
  expect(saslPrep(password)).toBe(password);
});

test('bytes that are not UTF-8 stay as they are', () => {
  const password = Buffer.from([0x61, 0xc2, 0xad, 0xff]);
  expect(saslPrep(password)).toBe(password);
});

test('preparing twice is preparing once, for whatever was prepared', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const once = saslPrep(Buffer.from(text));
      expect(saslPrep(once).equals(once)).toBe(true);
    }),
  );
});
