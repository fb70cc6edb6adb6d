/** What a command's exit code says. Scripts depend on it: stable. */
export const EXIT = {
  /** Complete, or the command did what it was asked. */
  ok: 0,
  /** The job failed or was cancelled, or the command could not do its work. */
  failed: 1,
  /** The job file, the configuration or the command line is wrong. Nothing was touched. */
  wrong: 2,
  /** All that can be done is done; parked partitions wait for a person. */
  waiting: 3,
  /** Complete, but partitions were skipped on a person's word, or rows were set aside. */
  skips: 4,
  /** Ctrl-C, as shells count it (128 + SIGINT). A followed job goes on. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_HELP = `Exit codes of run and watch:
  0 complete   1 failed or cancelled   2 job or command wrong
  3 waits on parked partitions   4 complete with skips or rejects
  130 stopped following`;
