/**
 * Text from and for the wire is held with one character for each byte, so that any encoding survives byte for byte. Text of
 * the program's own (configuration, log) is ordinary Unicode. These two functions are the border.
 */

/** Ordinary text in the form it has on the wire: UTF-8, one character for each byte. */
export function toWireText(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** Text off the wire as ordinary text, if it is UTF-8; null otherwise. */
export function fromWireText(wireText: string): string | null {
  return decodeUtf8(Buffer.from(wireText, 'latin1'));
}

/** The text of UTF-8 bytes, a byte order mark included, or null when they are not UTF-8. */
export function decodeUtf8(bytes: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
