import { Client } from 'pg';
import type { Cluster } from './cluster.ts';

/** The database that the demo's application works with, and its role. The password is for show: loopback only. */
export const SHOP = { database: 'shop', user: 'shop', password: 'shop' } as const;
export const TEAS = 1000;
export const SHOPPERS = 100;

/** So that a demonstration which hangs says so. */
const PATIENCE = { connectionTimeoutMillis: 10_000, query_timeout: 10_000 };

const ROLE = `CREATE ROLE ${SHOP.user} LOGIN PASSWORD '${SHOP.password}'`;
const DATABASE = `CREATE DATABASE ${SHOP.database} OWNER ${SHOP.user}`;
const TABLES = `
  SET ROLE ${SHOP.user};
  CREATE TABLE tea (id int PRIMARY KEY, name text NOT NULL, stock int NOT NULL);
  INSERT INTO tea SELECT id, 'tea no. ' || id, 100 FROM generate_series(1, ${TEAS}) AS id;
  CREATE TABLE basket (shopper int PRIMARY KEY, items int NOT NULL DEFAULT 0);
  INSERT INTO basket SELECT shopper FROM generate_series(1, ${SHOPPERS}) AS shopper;
  CREATE TABLE sale (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tea_id int NOT NULL REFERENCES tea);
  CREATE FUNCTION buy(tea_id int) RETURNS bigint LANGUAGE sql AS $$ INSERT INTO sale (tea_id) VALUES (tea_id) RETURNING id $$;
  ANALYZE;
`;

/** Creates the shop on the primary and waits until every replica has it. */
export async function createShop(cluster: Cluster): Promise<void> {
  await cluster.primary.query(ROLE);
  await cluster.primary.query(DATABASE);
  await cluster.primary.query(TABLES, SHOP.database);
  await cluster.waitForReplay();
}

/** One session of the application, with the plain `pg` driver: it knows a host and a port and nothing of pgweir. */
export async function enterShop(address: { readonly host: string; readonly port: number }): Promise<Client> {
  const client = new Client({ ...SHOP, host: address.host, port: address.port, ssl: false, ...PATIENCE });
  // A lost connection is news to the query that then fails; without this listener it would end the process.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
