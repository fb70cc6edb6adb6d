import { CommanderError } from 'commander';
import { EXIT } from './exit-codes.js';
import { explain } from './errors.js';
import { buildProgram, shieldTemporalArguments } from './program.js';
import { makeScreen } from './screen.js';

/** Runs the command line given; answers with the exit code. Errors are printed, not thrown. */
async function main(args: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = buildProgram((code) => (exitCode = code));
  try {
    await program.parseAsync(shieldTemporalArguments(args), { from: 'user' });
    return exitCode;
  } catch (thrown) {
    // Commander has printed its help or its complaint already.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.wrong;
    return report(thrown, !args.includes('--no-color'));
  }
}

function report(thrown: unknown, color: boolean): number {
  const { message, next, exitCode, stack } = explain(thrown);
  const { err } = makeScreen({ color });
  err.prose(`${err.colors.red('✖ error')}  ${message}`);
  if (next !== undefined) err.prose(next);
  if (stack !== undefined && process.env.LONGHAUL_DEBUG === '1') err.line(stack);
  return exitCode;
}

// A reader that has seen enough (`longhaul status | head -1`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

process.exitCode = await main(process.argv.slice(2));
