import { DevstackError, logToStderr } from '../report.js';

export function untilInterrupted(): Promise<void> {
  return new Promise((done) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => done());
  });
}

/** Runs a program's `main`; what it throws is printed for a person, with its stack where LONGHAUL_DEBUG is set. */
export function conduct(main: () => Promise<void>): void {
  main().catch((error: unknown) => {
    const known = error instanceof DevstackError || process.env.LONGHAUL_DEBUG === undefined;
    logToStderr(known && error instanceof Error ? error.message : String(error instanceof Error ? error.stack : error));
    // Ends servers that a failed start has left up: their supervisors notice.
    process.exit(1);
  });
}
