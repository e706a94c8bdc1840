import { fileURLToPath } from 'node:url';

/** Path of a certificate (`server.pem`) or key (`server.key`) that `certificates/make.sh` made. */
export function certificatePath(name: string): string {
  return fileURLToPath(new URL(`./certificates/${name}`, import.meta.url));
}
