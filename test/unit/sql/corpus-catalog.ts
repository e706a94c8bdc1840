import { readFileSync } from 'node:fs';
import type { Catalog } from '../../../src/sql/catalog.ts';
import type { CatalogRows } from '../../../src/sql/catalog-queries.ts';
import { catalogFromRows } from '../../../src/sql/catalog-rows.ts';

const FILE = new URL('../../corpus/classification-catalog.json', import.meta.url);

/** What a real database said of the corpus's set-up; kept up to date by test/integration/classification.test.ts. */
const corpusRows = JSON.parse(readFileSync(FILE, 'utf8')) as CatalogRows;

export const corpusCatalog: Catalog = catalogFromRows({ database: 'corpus', version: 1 }, corpusRows);
