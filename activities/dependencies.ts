import type { Connector, Log } from '../src/connectors/types.js';
import { LonghaulError } from '../src/core/errors.js';
import { didYouMean } from '../src/core/suggest.js';

/** What a worker gives to its activities. Both live as long as the worker; neither holds a session. */
export interface Dependencies {
  /** The connections of longhaul.yaml, by name. */
  readonly connectors: ReadonlyMap<string, Connector>;
  readonly log: Log;
  /** Absolute path of the folder of longhaul.yaml, below which lists of queries lie. Absent: there are none. */
  readonly folder?: string;
  /** What the worker calls itself at Temporal: names it in errors that are its own configuration's. */
  readonly worker?: string;
  /**
   * The run that the job of this workflow id is at work on at this moment. Undefined: it does not run, or that can't be told. Absent:
   * nobody is asked.
   */
  readonly runningRun?: (workflowId: string) => Promise<string | undefined>;
}

/** The connection of this name. A job was checked on one worker and runs on another, which may be configured otherwise. */
export function connectorOf({ connectors, worker }: Dependencies, name: string): Connector {
  const connector = connectors.get(name);
  if (connector !== undefined) return connector;
  throw new LonghaulError(
    'ConnectionFailed',
    `${unknownConnection(name, connectors.keys())} on ${worker === undefined ? 'this worker' : `worker "${worker}"`}.`,
    {
      next: 'Give all workers of a task queue the same longhaul.yaml.',
    },
  );
}

export function unknownConnection(name: string, known: Iterable<string>): string {
  const names = [...known];
  const near = didYouMean(name, names);
  const hint = near === undefined ? '' : ` (did you mean ${JSON.stringify(near)}?)`;
  return `There is no connection ${JSON.stringify(name)}${hint}`;
}
