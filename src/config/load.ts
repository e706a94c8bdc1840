import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { Environment } from './environment.ts';
import type { Files } from './kinds.ts';
import { byPlace, formatPath, type Path, type Place, type Problem } from './problem.ts';
import type { Config } from './settings.ts';
import { type Validation, validateConfig } from './validate.ts';

/** No file of a configuration is longer; what is longer was not meant. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/**
 * The one impure part of this folder: reads a configuration and what it names (secrets, certificates) from files and the
 * environment. Certificates are tried together with their keys, so that a pair that does not fit is found here and not
 * at the first handshake. Never throws for anything that is wrong outside.
 */
export function loadConfig(path: string, env: Environment): Validation {
  let text: string;
  try {
    text = readText(path);
  } catch (error) {
    const message = `cannot read the configuration (${errorCode(error)})`;
    return { kind: 'invalid', problems: [{ path: '', place: null, message }] };
  }
  const folder = dirname(resolve(path));
  const files: Files = { resolve: (name) => resolve(folder, name), read: readText };
  const validation = validateConfig(text, { env, files });
  if (validation.kind === 'invalid') return validation;
  const problems = certificateProblems(validation.config, validation.locate);
  return problems.length === 0 ? validation : { kind: 'invalid', problems };
}

function readText(path: string): string {
  if (statSync(path).size > MAX_FILE_BYTES) throw Object.assign(new Error('too long'), { code: 'longer than 4 MiB' });
  return readFileSync(path, 'utf8');
}

function certificateProblems({ tls, backendTls }: Config, locate: (path: Path) => Place): Problem[] {
  const problems: Problem[] = [];
  const attempt = (path: Path, read: () => unknown): boolean => {
    try {
      read();
      return true;
    } catch (error) {
      const message = `does not hold what it should (${errorCode(error)})`;
      problems.push({ path: formatPath(path), place: locate(path), message });
      return false;
    }
  };
  for (const { name, certFile, keyFile, caFile } of [
    { name: 'tls', ...(tls ?? NO_FILES) },
    { name: 'backend_tls', ...backendTls },
  ]) {
    // A context takes any text for authorities, and trusts nobody then.
    if (caFile !== null) attempt([name, 'ca_file'], () => new X509Certificate(readText(caFile)));
    if (certFile === null || keyFile === null) continue;
    const cert = readText(certFile);
    if (!attempt([name, 'cert_file'], () => new X509Certificate(cert))) continue;
    attempt([name, 'key_file'], () => createSecureContext({ cert, key: readText(keyFile) }));
  }
  return problems.sort(byPlace);
}

const NO_FILES = { certFile: null, keyFile: null, caFile: null };

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
}
