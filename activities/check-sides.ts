import { errorFinding } from '../src/connectors/findings.js';
import type { Connector } from '../src/connectors/types.js';
import { LonghaulError, type ErrorCode } from '../src/core/errors.js';
import { lowerFirst } from '../src/core/text.js';
import { unknownConnection, type Dependencies } from './dependencies.js';
import type { Findings } from './findings.js';

export type Side = 'source' | 'destination';

/**
 * Which errors of a connection are findings. `everything`: a person waits for the answer, and wants to hear of the other side too.
 * `for good`: what time may mend is thrown, so that it is tried again.
 */
export type Tell = 'everything' | 'for good';

const TOLD: Readonly<Record<Tell, readonly ErrorCode[]>> = {
  everything: ['ServerUnsuitable', 'ConnectionFailed', 'SourceFailed'],
  'for good': ['ServerUnsuitable'],
};

/** A finding instead of what it throws, where that is one to be told. */
export async function told<T>(
  findings: Findings,
  path: string,
  tell: Tell,
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof LonghaulError) || !isTold(error, tell)) throw error;
    findings.add(path, [errorFinding(error)]);
    return undefined;
  }
}

export function isTold({ code }: LonghaulError, tell: Tell): boolean {
  return TOLD[tell].includes(code);
}

/** The connector of one side, if this worker has it and it can be that side; otherwise it is said. */
export function connectorFor(
  { connectors }: Dependencies,
  side: Side,
  name: string,
  findings: Findings,
): Connector | undefined {
  const connector = connectors.get(name);
  if (connector?.capabilities[side]) return connector;
  const has = `the worker's longhaul.yaml has: ${[...connectors.keys()].join(', ') || 'none'}`;
  const finding =
    connector === undefined
      ? { message: lowerFirst(unknownConnection(name, connectors.keys())), fix: has }
      : { message: `a connection of type ${connector.type} can not be a ${side}`, fix: 'name another connection' };
  findings.add(side, [{ severity: 'problem', path: '', ...finding }]);
  return undefined;
}
