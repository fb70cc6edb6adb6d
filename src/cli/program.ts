import { Command } from 'commander';
import { addCancel } from './commands/cancel.js';
import { addCheck } from './commands/check.js';
import { addClean } from './commands/clean.js';
import { addDev } from './commands/dev.js';
import { addInit } from './commands/init.js';
import { addLs } from './commands/ls.js';
import { addRetry } from './commands/retry.js';
import { addRun } from './commands/run.js';
import { addSchema } from './commands/schema.js';
import { addSetParallelism } from './commands/set-parallelism.js';
import { addSkip } from './commands/skip.js';
import { addStatus } from './commands/status.js';
import { addTemporal } from './commands/temporal.js';
import { addVerify } from './commands/verify.js';
import { addWatch } from './commands/watch.js';
import { addWorker } from './commands/worker.js';
import { makeContext, type GlobalOptions } from './context.js';
import { EXIT_HELP } from './exit-codes.js';
import type { Registry } from './registry.js';
import { packageVersion } from '../package-version.js';

const NEXT_STEPS = `
New here?
  longhaul init              writes the files to begin with
  longhaul dev               in a terminal of its own: Temporal and a worker
  longhaul check job.yaml    says everything that is wrong, touches nothing
  longhaul run job.yaml      copies, and shows how it goes

<name> is a job's name: the id of its workflow. A run is one
execution of a job, by the id that status and ls show.

Temporal is found as by any Temporal program: by TEMPORAL_ADDRESS and the other
TEMPORAL_* variables, or a profile of temporal.toml; else at 127.0.0.1:7233.

${EXIT_HELP}`;

export function buildProgram(exit: (code: number) => void): Command {
  const program = new Command('longhaul')
    .description(
      'Copies tables of any size from one data system to another, as a Temporal workflow: every row exactly once.',
    )
    .version(packageVersion(), '--version', 'print the version')
    .helpOption('--help', 'explain the program or a command')
    .option('--config <file>', 'the connections and worker settings (default: LONGHAUL_CONFIG, else ./longhaul.yaml)')
    .option('--address <host:port>', "Temporal's address, if not as configured")
    .option('--namespace <name>', "Temporal's namespace, if not as configured")
    .option('--no-color', 'no colours (as the variable NO_COLOR)')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true, subcommandTerm: (command) => usageOf(command) })
    .showHelpAfterError('(--help explains)')
    .addHelpText('after', NEXT_STEPS)
    .exitOverride();
  const registry = registryOf(program, exit);
  program.commandsGroup('Copy:');
  [addInit, addSchema, addCheck, addRun].forEach((add) => add(registry));
  program.commandsGroup('Jobs under way:');
  [addWatch, addStatus, addRetry, addSkip, addSetParallelism, addCancel].forEach((add) => add(registry));
  program.commandsGroup('Runs:');
  [addLs, addVerify, addClean].forEach((add) => add(registry));
  program.commandsGroup('Servers:');
  [addDev, addWorker, addTemporal].forEach((add) => add(registry));
  return program;
}

/** `retry <name> [table]`: without the word [options], which says nothing. */
function usageOf(command: Command): string {
  return `${command.name()} ${command.usage().replace(/^\[options\] ?/, '')}`.trim();
}

function registryOf(program: Command, exit: (code: number) => void): Registry {
  return {
    command: (spec, description, example) =>
      program
        .command(spec)
        .description(description)
        .addHelpText('after', `\nExample:\n${indent(example)}`),
    action:
      (work) =>
      async (...args) =>
        exit(await work(makeContext(program.opts<GlobalOptions>()), ...args)),
  };
}

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => (line === '' ? line : `  ${line}`))
    .join('\n');
}

const WITH_VALUE = ['--config', '--address', '--namespace'];

/** Everything behind `temporal` belongs to the Temporal CLI, `--help` too: a `--` keeps our own parser off it. */
export function shieldTemporalArguments(args: readonly string[]): string[] {
  let index = 0;
  while (args[index]?.startsWith('-')) index += WITH_VALUE.includes(args[index]!) ? 2 : 1;
  if (args[index] !== 'temporal') return [...args];
  return [...args.slice(0, index + 1), '--', ...args.slice(index + 1)];
}
