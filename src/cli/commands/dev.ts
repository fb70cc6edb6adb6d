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
  if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port;
  throw new InvalidArgumentError('It must be a number from 1 to 65535.');
}

async function dev(context: Context, options: DevOptions): Promise<number> {
  const { config } = loadWorkerConfig(context.config, context.env);
  const { out, err } = context.screen;
  const stack = new DevStack(config, context, options);
  try {
    await stack.start();
    const here = (path: string) => relative(process.cwd(), path) || '.';
    const done = out.colors.green('✔ running');
    out.line(`${done}  Temporal on ${stack.address}, web UI ${stack.uiUrl}, data in ${here(stack.databaseFile)}`);
    out.line(`${done}  worker for ${[...config.connections.keys()].join(', ')}, log in ${here(stack.workerLog)}`);
    sayNext(context, stack);
    return await Promise.race([untilSignal(), stack.failed]);
  } finally {
    err.line('Ending the worker and Temporal …');
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
