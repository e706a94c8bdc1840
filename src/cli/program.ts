import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { loadConfig } from '../config/load.ts';
import { check } from './check.ts';
import { EXIT, type Io } from './io.ts';
import { route } from './route.ts';
import { type ServeParts, serve } from './serve.ts';

/*
 * What only one command needs is imported when that command runs: `check` works without PostgreSQL's binaries for the
 * demo, and says what is wrong before anything of the server is loaded.
 */

/** Where a configuration is looked for when none is named, relative to the working directory. */
const USUAL_FILE = 'config/pgweir.yaml';

/** What of the process a command needs beyond {@link Io}. */
export type Process = Pick<ServeParts, 'log' | 'onSignal'>;

const AFTER_HELP = `
Exit codes: 0 success; 1 the configuration is wrong, or something outside failed; 2 wrong usage; 70 a defect of pgweir.

Signals to serve: SIGTERM and SIGINT finish open transactions and end, a second one ends at once; SIGHUP reads the
configuration again, as a whole or not at all, and keeps all clients.

Settings: config/README.md.`;

const AFTER_ROUTE_HELP = `
Each text is judged as one message of a session that has just connected, with all replicas fresh. Nothing is connected
to, so functions of your database are unknown here, and its relations are taken for plain tables.

Examples:
  pgweir route "SELECT * FROM users WHERE id = 7"
  pgweir route --json "SELECT nextval('s')" "BEGIN READ ONLY; SELECT 1"`;

/** Runs one command line (without `node` and the script). Resolves to the exit code; rejects for what nobody expected. */
export async function run(args: readonly string[], io: Io, host: Process): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = describeProgram(io, host, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    // Help and version end as errors too, with the code 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    throw error;
  }
}

function describeProgram(io: Io, host: Process, finish: (exitCode: number) => void): Command {
  const program = new Command('pgweir')
    .description('A PostgreSQL proxy that sends reads to replicas that are fresh enough, and everything else to the primary.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .showSuggestionAfterError()
    .showHelpAfterError('Try pgweir --help.')
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.out(text.trimEnd()), writeErr: (text) => io.err(text.trimEnd()) })
    .addHelpText('after', AFTER_HELP);
  addServe(program, io, host, finish);
  addCheck(program, io, finish);
  addRoute(program, io, finish);
  addDemo(program, finish);
  return program;
}

function addServe(program: Command, io: Io, host: Process, finish: (exitCode: number) => void): void {
  program
    .command('serve')
    .description('run the proxy')
    .option('-c, --config <file>', 'the configuration', USUAL_FILE)
    .action(async ({ config: file }: { config: string }) => {
      finish(
        await serve({
          ...host,
          file,
          io,
          version: version(),
          load: () => loadConfig(file, io.env),
          start: async (config, telemetry) => {
            if (config.workers === 1) return (await import('../app.ts')).startApp(config, { telemetry });
            return (await import('../workers/supervisor.ts')).startSupervisor(config, { telemetry, log: host.log });
          },
        }),
      );
    });
}

function addCheck(program: Command, io: Io, finish: (exitCode: number) => void): void {
  program
    .command('check')
    .description('list everything that is wrong with a configuration')
    .option('-c, --config <file>', 'the configuration', USUAL_FILE)
    .action(({ config: file }: { config: string }) => finish(check(file, io)));
}

function addRoute(program: Command, io: Io, finish: (exitCode: number) => void): void {
  program
    .command('route')
    .description('say where a statement would go, and why')
    .argument('<sql...>', 'one or more texts, each as a client would send it in one message')
    .option('-c, --config <file>', `the configuration (default: ${USUAL_FILE} if it is there)`)
    .option('-U, --user <name>', 'the user, for rules of the configuration')
    .option('-d, --database <name>', 'the database, for rules of the configuration')
    .option('--read-only', 'as through a listener with mode: read-only')
    .option('--json', 'one JSON object for each text')
    .addHelpText('after', AFTER_ROUTE_HELP)
    .action(
      async (texts: string[], given: { config?: string; user?: string; database?: string; readOnly?: true; json?: true }) => {
        const { config = null, user = null, database = null, readOnly = false, json = false } = given;
        finish(await route(texts, { config, user, database, readOnly, json }, USUAL_FILE, io));
      },
    );
}

function addDemo(program: Command, finish: (exitCode: number) => void): void {
  program
    .command('demo')
    .description('boot a real primary with two replicas, put pgweir in front, and show what goes where')
    .option('--once', 'check everything that was promised, then end; the exit code tells')
    .action(async ({ once = false }: { once?: boolean }) => {
      const { runDemo } = await import('../demo/demo.ts');
      finish(await runDemo({ once }));
    });
}

function version(): string {
  const { version: text }: { version: string } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return text;
}
