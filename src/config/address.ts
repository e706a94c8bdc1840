export interface Address {
  readonly host: string;
  readonly port: number;
}

const BRACKETED = /^\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\](?::(\d{1,5}))?$/;
const PLAIN = /^([^\s:/@[\]]+)(?::(\d{1,5}))?$/;

/**
 * Reads `host:port` or `[ipv6]:port`; without a port the usual one, if there is one. Returns what is wrong as text.
 * Port 0 (any free port) is only good for listening.
 */
export function parseAddress(text: string, ports: { usual: number | null; min: 0 | 1 }): Address | string {
  const match = BRACKETED.exec(text) ?? PLAIN.exec(text);
  if (match === null) {
    if (text.includes('/')) return 'must be host:port, not a URL or a path';
    if (text.split(':').length > 2) return 'must have an IPv6 address in brackets: [::1]:5432';
    return 'must be host:port, for example db1.example.org:5432';
  }
  const [, host = '', portText] = match;
  const port = portText === undefined ? ports.usual : Number(portText);
  if (port === null) return 'needs a port: write host:port';
  if (port < ports.min || port > 65_535) return `must have a port between ${ports.min} and 65535`;
  return { host, port };
}

/** The text that {@link parseAddress} reads back. */
export function formatAddress(address: Address): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** Says what is wrong with an address or network (`10.0.0.0/8`, `::1`), or null. */
export function checkNetwork(text: string): string | null {
  const [base = '', prefix, ...more] = text.split('/');
  const bits = isIpv4(base) ? 32 : isIpv6(base) ? 128 : null;
  if (bits === null || more.length > 0) return 'must be an address or a network, for example 10.0.0.0/8 or ::1';
  if (prefix === undefined) return null;
  return /^\d{1,3}$/.test(prefix) && Number(prefix) <= bits ? null : `must have a prefix between /0 and /${bits}`;
}

function isIpv4(text: string): boolean {
  const parts = text.split('.');
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
}

/** The WHATWG URL parser knows the whole grammar of RFC 4291, and is pure. */
function isIpv6(text: string): boolean {
  return /^[0-9A-Fa-f:.]+$/.test(text) && text.includes(':') && URL.canParse(`http://[${text}]/`);
}
