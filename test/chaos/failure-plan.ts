import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { Context } from '@temporalio/activity';
import { LonghaulError } from '../../src/core/errors.js';
import type { FailPoint, FailPointHandler } from '../../src/core/fail-points.js';

/** What the activities of one workflow meet. */
export interface Failures {
  /** Here one of them fails first, as if its connection had gone. */
  readonly disconnect?: FailPoint;
  /** Here they stop, after that; `any`: at the next point, whichever it is. */
  readonly stop: FailPoint | 'any';
}

/** A worker process that kills itself when activities of all these workflows have stopped. */
export interface FailurePlan {
  /** By the workflow's id. */
  readonly workflows: Readonly<Record<string, Failures>>;
  /** A file that gets a line when a workflow's activity fails or stops for the first time: its id and the point. */
  readonly told: string;
  /** It is frozen instead, and goes on from where it stands when somebody thaws it. Default false. */
  readonly freeze?: boolean;
}

export function writeFailurePlan(file: string, plan: FailurePlan): void {
  writeFileSync(plan.told, '');
  writeFileSync(file, JSON.stringify(plan));
}

/** What the workflows of a plan have met, in order. */
export function metBy({ told }: FailurePlan): { readonly workflow: string; readonly point: string }[] {
  const lines = readFileSync(told, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => {
    const [workflow = '', point = ''] = line.split('\t');
    return { workflow, point };
  });
}

/** The points of a plan that nobody has come to yet, in words. */
export function notReached(plan: FailurePlan): string[] {
  const met = metBy(plan);
  return Object.entries(plan.workflows).flatMap(([id, { disconnect, stop }]) => {
    const wanted = disconnect === undefined ? [stop] : [disconnect, stop];
    return wanted.slice(met.filter(({ workflow }) => workflow === id).length).map((point) => `${point} (${id})`);
  });
}

export function readFailurePlan(file: string): FailurePlan {
  return JSON.parse(readFileSync(file, 'utf8')) as FailurePlan;
}

export function failWhere({ workflows, told, freeze = false }: FailurePlan): FailPointHandler {
  const going = new Set(Object.keys(workflows));
  const disconnected = new Set<string>();
  const waiting: (() => void)[] = [];
  let thawed = false;
  return (point) => {
    const id = Context.current().info.workflowExecution?.workflowId ?? '';
    const { disconnect, stop } = workflows[id] ?? {};
    if (disconnect !== undefined && !disconnected.has(id)) {
      if (disconnect !== point) return undefined;
      disconnected.add(id);
      appendFileSync(told, `${id}\t${point}\n`);
      return Promise.reject(lostAt(point));
    }
    if (thawed || (stop !== point && stop !== 'any')) return undefined;
    if (going.delete(id)) appendFileSync(told, `${id}\t${point}\n`);
    if (going.size > 0) return new Promise((go) => waiting.push(go));
    if (!freeze) process.kill(process.pid, 'SIGKILL');
    process.kill(process.pid, 'SIGSTOP');
    thawed = true;
    for (const go of waiting) go();
    return undefined;
  };
}

function lostAt(point: FailPoint): LonghaulError {
  return new LonghaulError('ConnectionFailed', `The connection was lost at "${point}".`);
}
