import { InvalidArgumentError } from 'commander';
import { relative } from 'node:path';
import { loadWorkerConfig } from '../../config/index.js';
import type { Context } from '../context.js';
import { DevStack, type DevOptions } from '../dev-stack.js';
import { EXIT } from '../exit-codes.js';
import type { Registry } from '../registry.js';

export function addDev({ command, action }: Registry): void {
  command('dev', 'Temporal and a worker, until Ctrl-C', 'longhaul dev')
    .option('--port <number>', "Temporal's port on 127.0.0.1", parsePort, 7233)
    .option('--ui-port <number>', "the web UI's port on 127.0.0.1", parsePort, 8233)
    .action(action(dev));
}

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new InvalidArgumentError('It must be a number from 0 (any that is free) to 65535.');
}

async function dev(context: Context, options: DevOptions): Promise<number> {
  const { config } = loadWorkerConfig(context.config, context.env);
  const { out, err } = context.screen;
  const stack = new DevStack(config, context, options);
  try {
    await stack.start();
    const here = (path: string) => relative(process.cwd(), path) || '.';
    out.line(`${out.colors.green('✔ running')}  Temporal  ${stack.address}`);
    out.line(`           web UI    ${stack.uiUrl}`);
    out.line(`           worker    for ${[...config.connections.keys()].join(', ')}`);
    out.line(`           files     ${here(stack.databaseFile)}, ${here(stack.workerLog)}`);
    sayNext(context, stack);
    const exitCode = await Promise.race([untilSignal(), stack.failed]);
    err.line('Ending the worker and Temporal …');
    return exitCode;
  } finally {
    await stack.stop();
  }
}

function sayNext({ screen, hint, env }: Context, { address }: DevStack): void {
  const { err } = screen;
  const elsewhere = env.TEMPORAL_ADDRESS !== undefined && env.TEMPORAL_ADDRESS !== address;
  const extra = elsewhere || !address.endsWith(':7233') ? ['--address', address] : [];
  err.line(`In another terminal:  ${hint('run', 'job.yaml', ...extra)}`);
  err.line('Ctrl-C ends both. Jobs under way go on when they are started again.');
}

/** Resolves at Ctrl-C, at SIGTERM, and when the terminal is closed. Before it is called these just end us, and the servers with us. */
function untilSignal(): Promise<number> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve(EXIT.ok));
    process.once('SIGTERM', () => resolve(EXIT.ok));
    process.once('SIGHUP', () => resolve(EXIT.ok));
  });
}
