import { LonghaulError } from '../core/errors.js';
import { EXIT, type ExitCode } from './exit-codes.js';

/** What a person must hear instead of a result: `message` says what happened, `next` what to do; printed without a stack. */
export class CliError extends Error {
  override readonly name = 'CliError';

  constructor(
    message: string,
    readonly exitCode: ExitCode = EXIT.failed,
    readonly next?: string,
  ) {
    super(message);
  }
}

/** What is printed for anything that was thrown, and the exit code it means. */
export interface Explained {
  readonly message: string;
  readonly next?: string | undefined;
  readonly exitCode: ExitCode;
  /** Printed only with LONGHAUL_DEBUG=1. */
  readonly stack?: string | undefined;
}

/** Errors of other rooms whose message is written for users, by name: the CLI need not load those rooms to know them. */
const WRITTEN_FOR_USERS: Readonly<Record<string, ExitCode>> = {
  ConfigError: EXIT.wrong,
  DevstackError: EXIT.failed,
};

export function explain(thrown: unknown): Explained {
  if (thrown instanceof CliError) return thrown;
  if (thrown instanceof LonghaulError) return explainLonghaul(thrown);
  if (!(thrown instanceof Error)) return { message: String(thrown), exitCode: EXIT.failed };
  const exitCode = WRITTEN_FOR_USERS[thrown.name];
  if (exitCode !== undefined) return { message: thrown.message, exitCode };
  return {
    message: `Unexpected error: ${thrown.message}`,
    next: 'LONGHAUL_DEBUG=1 shows the stack. If it looks like a fault of Longhaul, please report it with that.',
    exitCode: EXIT.failed,
    stack: thrown.stack,
  };
}

function explainLonghaul(error: LonghaulError): Explained {
  const exitCode = error.code === 'JobInvalid' ? EXIT.wrong : EXIT.failed;
  return { message: error.message, next: error.next, exitCode };
}
