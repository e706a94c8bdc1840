#!/usr/bin/env node
// Nothing is imported here before the version is known to be fit: an older Node would fail on the syntax of what follows.

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(`pgweir needs Node 22.18 or newer; this is ${process.versions.node}.\n`);
  process.exit(1);
}
const { main } = await import('./cli/main.ts');
await main();
