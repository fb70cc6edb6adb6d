/** Where progress goes: one finished line of text a call, for a person. */
export type Log = (line: string) => void;

/** The default: standard error, so that a command's own output stays clean. */
export const logToStderr: Log = (line) => void process.stderr.write(`${line}\n`);

/** What a person must hear: `message` says what happened and what to do next; print it without a stack trace. */
export class DevstackError extends Error {
  override name = 'DevstackError';
}

/** The message of anything that was thrown. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
