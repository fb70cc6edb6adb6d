import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { Context } from '@temporalio/activity';
import { LonghaulError } from '../../src/core/errors.js';
import type { FailPoint, FailPointHandler } from '../../src/core/fail-points.js';

/** Where the activities of one worker process fail, each at most once. */
export interface FailurePlan {
  /**
   * `crash`: they stop there until all of them have, and then the process kills itself. `disconnect`: each fails there as if its connection
   * had gone.
   */
  readonly how: 'crash' | 'disconnect';
  /** By the id of the workflow whose activity it is. */
  readonly points: Readonly<Record<string, FailPoint>>;
  /** A file that gets the workflow's id, a line each, when its activity is there. */
  readonly reached: string;
}

export function writeFailurePlan(file: string, plan: FailurePlan): void {
  writeFileSync(file, JSON.stringify(plan));
}

export function readFailurePlan(file: string): FailurePlan {
  return JSON.parse(readFileSync(file, 'utf8')) as FailurePlan;
}

/** Other activities of the same workflow that come to its point stop there too, while the process lives. */
export function failWhere({ how, points, reached }: FailurePlan): FailPointHandler {
  const left = new Map(Object.entries(points));
  return (point) => {
    const id = Context.current().info.workflowExecution?.workflowId ?? '';
    if (points[id] !== point) return undefined;
    const first = left.delete(id);
    if (first) appendFileSync(reached, `${id}\n`);
    if (how === 'disconnect') return first ? Promise.reject(disconnected(point)) : undefined;
    if (left.size === 0) process.kill(process.pid, 'SIGKILL');
    return new Promise(() => undefined);
  };
}

function disconnected(point: FailPoint): LonghaulError {
  return new LonghaulError('ConnectionFailed', `The connection was lost at "${point}".`);
}
