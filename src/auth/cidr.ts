/** `::ffff:0:0/96`, RFC 4291 section 2.5.5.2. */
const MAPPED_PREFIX = Buffer.from('00000000000000000000ffff', 'hex');

/** A block of addresses, as in `10.0.0.0/8` or `fd00::/8`. */
export interface Cidr {
  readonly address: Buffer;
  readonly prefixBits: number;
}

/** Reads `address/bits`, or an address alone (all its bits). Null for anything else. */
export function parseCidr(text: string): Cidr | null {
  const match = /^([0-9A-Fa-f.:]+)(?:\/(\d{1,3}))?$/.exec(text);
  const address = match === null ? null : parseIp(match[1] ?? '');
  if (match === null || address === null) return null;
  const bits = address.length * 8;
  const prefixBits = match[2] === undefined ? bits : Number(match[2]);
  return prefixBits > bits ? null : { address, prefixBits };
}

/** Whether the block contains the address; never for an address that cannot be read or is of the other family. */
export function cidrContains(cidr: Cidr, address: string): boolean {
  const bytes = parseIp(address);
  if (bytes === null || bytes.length !== cidr.address.length) return false;
  const whole = cidr.prefixBits >> 3;
  if (bytes.compare(cidr.address, 0, whole, 0, whole) !== 0) return false;
  const rest = cidr.prefixBits & 7;
  if (rest === 0) return true;
  return (bytes[whole] ?? 0) >> (8 - rest) === (cidr.address[whole] ?? 0) >> (8 - rest);
}

/**
 * The 4 or 16 bytes of an address. IPv4 addresses in IPv6 (`::ffff:10.0.0.1`, what a socket listening on both reports) are
 * IPv4 addresses. A zone (`fe80::1%eth0`) is dropped.
 */
export function parseIp(text: string): Buffer | null {
  const zone = text.indexOf('%');
  const plain = zone < 0 ? text : text.slice(0, zone);
  if (!plain.includes(':')) return parseIpv4(plain);
  const bytes = parseIpv6(plain);
  return bytes?.subarray(0, 12).equals(MAPPED_PREFIX) ? bytes.subarray(12) : bytes;
}

function parseIpv4(text: string): Buffer | null {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return null;
  return Buffer.from(parts.map(Number));
}

function parseIpv6(text: string): Buffer | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const [head, tail] = [parseGroups(halves[0] ?? ''), parseGroups(halves[1] ?? '')];
  if (head === null || tail === null) return null;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) return null;
  return Buffer.from([...head, ...Buffer.alloc(missing), ...tail]);
}

/** Groups of 16 bits between colons; the last may be an IPv4 address. */
function parseGroups(text: string): number[] | null {
  if (text === '') return [];
  const bytes: number[] = [];
  const groups = text.split(':');
  for (const [index, group] of groups.entries()) {
    if (/^[0-9A-Fa-f]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
      continue;
    }
    const ipv4 = index === groups.length - 1 ? parseIpv4(group) : null;
    if (ipv4 === null) return null;
    bytes.push(...ipv4);
  }
  return bytes;
}
