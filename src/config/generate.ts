import { writeFileSync } from 'node:fs';
import { formatReference } from './reference.ts';
import { formatSchema } from './schema.ts';

/** `npm run generate`: writes what is derived from the declarations. A unit test compares the committed files with it. */
const folder = new URL('../../config/', import.meta.url);
writeFileSync(new URL('schema.json', folder), formatSchema());
writeFileSync(new URL('README.md', folder), formatReference());
