/** Writes what is generated from the tables of this floor. */
import { writeFileSync } from 'node:fs';
import { metricsReference } from './reference.ts';

writeFileSync(new URL('metrics.md', import.meta.url), metricsReference());
