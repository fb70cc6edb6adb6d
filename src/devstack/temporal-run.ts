import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { findTemporalCli, type TemporalCliSearch } from './temporal-cli.js';

/** Signals that reach this process alone and must reach the CLI too. */
const FORWARDED: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGHUP'];

/**
 * Runs the Temporal CLI as if it had been called itself: same terminal, same signals. Answers with its exit code; 128 + the
 * signal's number, as shells do, if a signal ended it.
 * @throws DevstackError if there is no CLI.
 */
export async function runTemporalCli(args: readonly string[], search: TemporalCliSearch = {}): Promise<number> {
  const { path } = await findTemporalCli(search);
  const child = spawn(path, args, { stdio: 'inherit', env: search.env ?? process.env });
  const forward = (signal: NodeJS.Signals) => void child.kill(signal);
  // Ctrl-C goes to the whole terminal group: the CLI has it already, and we only have to outlive it.
  const interrupted = () => process.stdin.isTTY || child.kill('SIGINT');
  for (const signal of FORWARDED) process.on(signal, forward);
  process.on('SIGINT', interrupted);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
    });
  } finally {
    for (const signal of FORWARDED) process.off(signal, forward);
    process.off('SIGINT', interrupted);
  }
}
