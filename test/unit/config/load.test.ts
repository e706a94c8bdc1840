import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { formatProblem } from '../../../src/config/problem.ts';
import { certificatePath } from '../../support/certificates.ts';
import { MINIMUM } from './validate-text.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pgweir-config-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function problemsOf(path: string): string[] {
  const validation = loadConfig(path, {});
  return validation.kind === 'valid' ? [] : validation.problems.map((problem) => formatProblem(problem, 'f'));
}

describe('a configuration file', () => {
  it('finds what it names from its own folder', () => {
    write('secret', 'from a file\n');
    const path = write('c.yaml', 'backends: [pg-1]\nmonitor: { user: m, password_file: secret }\n');
    const validation = loadConfig(path, {});
    expect(validation.kind === 'valid' && validation.config.monitor.password?.reveal()).toBe('from a file');
  });

  it('that is not there, or is a folder, or is absurdly long is a problem of its own', () => {
    mkdirSync(join(folder, 'd'));
    truncateSync(write('long', ''), 5_000_000);
    expect(problemsOf(join(folder, 'gone'))).toEqual(['f: cannot read the configuration (ENOENT)']);
    expect(problemsOf(join(folder, 'd'))).toEqual(['f: cannot read the configuration (EISDIR)']);
    expect(problemsOf(join(folder, 'long'))).toEqual(['f: cannot read the configuration (longer than 4 MiB)']);
  });

  it('takes certificates that fit their keys', () => {
    const tls = `tls: { cert_file: ${certificatePath('server.pem')}, key_file: ${certificatePath('server.key')}, ca_file: ${certificatePath('authority.pem')}, mode: verify-client }`;
    const backendTls = `backend_tls: { cert_file: ${certificatePath('client.pem')}, key_file: ${certificatePath('client.key')}, ca_file: ${certificatePath('authority.pem')} }`;
    expect(problemsOf(write('c.yaml', `${MINIMUM}${tls}\n${backendTls}\n`))).toEqual([]);
  });

  it('is refused when a key does not fit, or a file holds something else', () => {
    const text = `${MINIMUM}tls:
  cert_file: ${certificatePath('server.pem')}
  key_file: ${certificatePath('client.key')}
backend_tls:
  cert_file: ${write('text', 'not a certificate')}
  key_file: ${certificatePath('client.key')}
  ca_file: text
`;
    expect(problemsOf(write('c.yaml', text))).toEqual([
      'f:5:13: tls.key_file does not hold what it should (ERR_OSSL_X509_KEY_VALUES_MISMATCH)',
      'f:7:14: backend_tls.cert_file does not hold what it should (ERR_OSSL_PEM_NO_START_LINE)',
      'f:9:12: backend_tls.ca_file does not hold what it should (ERR_OSSL_PEM_NO_START_LINE)',
    ]);
  });
});
