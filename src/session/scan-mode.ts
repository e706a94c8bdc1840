import type { SettingsSet } from '../util/settings-set.ts';
import type { ScanMode } from './ports.ts';

/**
 * Encodings in which a byte below 0x80 may be part of a character, by the names PostgreSQL knows, without punctuation and in
 * lower case. Source: src/common/encnames.c, the encodings that are client-only, and their aliases.
 */
const UNSAFE_ENCODINGS: ReadonlySet<string> = new Set([
  'sjis',
  'shiftjis',
  'mskanji',
  'win932',
  'windows932',
  'shiftjis2004',
  'big5',
  'win950',
  'windows950',
  'gbk',
  'win936',
  'windows936',
  'uhc',
  'win949',
  'windows949',
  'gb18030',
  'johab',
]);

/** How texts of a session may be scanned. `reported` are the settings as the server reported them at login. */
export function scanMode(settings: SettingsSet, reported: ReadonlyMap<string, string>): ScanMode {
  const encoding = settings.entries.get('client_encoding') ?? reported.get('client_encoding') ?? 'UTF8';
  if (UNSAFE_ENCODINGS.has(encoding.toLowerCase().replace(/[^a-z0-9]/g, ''))) return 'unsafe encoding';
  const strings = settings.entries.get('standard_conforming_strings') ?? reported.get('standard_conforming_strings') ?? 'on';
  return isOff(strings) ? 'unsafe strings' : 'standard';
}

/** Whether a boolean setting's text means off. Source: parse_bool in src/backend/utils/adt/bool.c. */
export function isOff(value: string): boolean {
  const text = value.trim().toLowerCase();
  return text === '0' || text === 'of' || text === 'off' || (text !== '' && ('false'.startsWith(text) || 'no'.startsWith(text)));
}
