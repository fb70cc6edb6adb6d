import {
  Client,
  Connection,
  isGrpcServiceError,
  NamespaceNotFoundError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  type WorkflowExecutionDescription,
} from '@temporalio/client';
import { loadTemporalConfig } from '../config/index.js';
import type { Context } from './context.js';
import { CliError } from './errors.js';
import { EXIT } from './exit-codes.js';
import { withPatience, type JobHandle } from './follow/job-handle.js';

/** Milliseconds to find Temporal: a person waits for it. */
const CONNECT_TIMEOUT = 4_000;

/** gRPC status codes. */
const UNAVAILABLE = [14, 4];
const REFUSED = [16, 7];
const INVALID_ARGUMENT = 3;

/** Opens a client on the configured Temporal for the time of `work`. Trouble with Temporal itself is put into words. */
export async function withClient<T>(context: Context, work: (client: Client) => Promise<T>): Promise<T> {
  const { address, namespace, connectionOptions } = loadTemporalConfig(context.env);
  let connection: Connection | undefined;
  try {
    connection = await Connection.connect({ ...connectionOptions, connectTimeout: CONNECT_TIMEOUT });
    return await work(new Client({ connection, namespace }));
  } catch (error) {
    throw temporalTrouble(error, { address, namespace, context, connected: connection !== undefined });
  } finally {
    await connection?.close();
  }
}

interface Where {
  readonly address: string;
  readonly namespace: string;
  readonly context: Context;
  readonly connected: boolean;
}

function temporalTrouble(error: unknown, { address, namespace, context, connected }: Where): unknown {
  if (error instanceof NamespaceNotFoundError) return noSuchNamespace(address, namespace);
  const status = grpcStatusOf(error);
  if (status !== undefined && REFUSED.includes(status)) {
    const next = 'See TEMPORAL_API_KEY, the TLS settings and the namespace in the environment or temporal.toml.';
    return new CliError(`Temporal at ${address} refuses access to namespace "${namespace}".`, EXIT.failed, next);
  }
  if (connected && (status === undefined || !UNAVAILABLE.includes(status))) return error;
  return unreachable(address, context);
}

export function noSuchNamespace(address: string, namespace: string): CliError {
  const next = 'Make it, or name another by --namespace or TEMPORAL_NAMESPACE.';
  return new CliError(`Temporal at ${address} has no namespace "${namespace}".`, EXIT.wrong, next);
}

export function unreachable(address: string, { hint }: Context): CliError {
  const next =
    `Start one here:  ${hint('dev')}\n` +
    'Or say where it is: --address, TEMPORAL_ADDRESS, or a profile of temporal.toml.';
  return new CliError(`Temporal does not answer at ${address}.`, EXIT.failed, next);
}

function grpcStatusOf(error: unknown): number | undefined {
  if (isGrpcServiceError(error)) return error.code;
  return error instanceof Error && error.cause !== undefined ? grpcStatusOf(error.cause) : undefined;
}

/**
 * The latest execution of a job, pinned. A workflow of another type under this id is refused. `forgotten`: what can be done all the
 * same when there is none.
 * @throws CliError if there is none.
 */
export async function findJob(
  client: Client,
  context: Context,
  workflowId: string,
  forgotten?: string,
): Promise<JobHandle> {
  const described = await client.workflow
    .getHandle(workflowId)
    .describe()
    .catch((error: unknown) => {
      throw error instanceof WorkflowNotFoundError ? noSuchJob(context, workflowId, forgotten) : error;
    });
  const { type, runId, taskQueue } = described;
  if (type !== 'copyJob') {
    throw new CliError(`Workflow "${workflowId}" is no job of Longhaul but a ${type}.`, EXIT.wrong);
  }
  return { client, handle: client.workflow.getHandle(workflowId, runId), workflowId, runId, taskQueue };
}

function noSuchJob(context: Context, workflowId: string, forgotten?: string): CliError {
  const jobs = `The jobs there are:  ${context.hint('ls')}`;
  const next = forgotten === undefined ? jobs : `${jobs}\n${forgotten}`;
  return new CliError(`There is no job "${workflowId}" (or Temporal has forgotten it since).`, EXIT.wrong, next);
}

/** An execution as Temporal knows it; undefined where it knows none of these ids, or they are none that it could have given. */
export async function describeIfKnown(
  client: Client,
  workflowId: string,
  runId?: string,
): Promise<WorkflowExecutionDescription | undefined> {
  try {
    return await client.workflow.getHandle(workflowId, runId).describe();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError || grpcStatusOf(error) === INVALID_ARGUMENT) return undefined;
    throw error;
  }
}

/** As `findJob`, for what can only be asked of a job that runs. */
export async function findRunningJob(client: Client, context: Context, workflowId: string): Promise<JobHandle> {
  const job = await findJob(client, context, workflowId);
  const { status } = await job.handle.describe();
  if (status.name === 'RUNNING') return job;
  throw new CliError(`Job "${workflowId}" does not run any more (${status.name.toLowerCase()}); nothing was done.`);
}

/** Sends a running job an update, and answers with what it accepted. A refusal is told in the job's own words. */
export async function updateJob<T>(job: JobHandle, context: Context, update: () => Promise<T>): Promise<T> {
  try {
    return await withPatience(job.client, update);
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError)
      throw new CliError(error.cause?.message ?? error.message, EXIT.wrong);
    if (!(error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) && !isTimeout(error)) throw error;
    const next = `Start a worker where longhaul.yaml is:  ${context.hint('worker')}`;
    const what = `No worker answers on task queue "${job.taskQueue}". The request is done as soon as one is there.`;
    throw new CliError(what, EXIT.failed, next);
  }
}

function isTimeout(error: unknown): boolean {
  const status = grpcStatusOf(error);
  return status !== undefined && UNAVAILABLE.includes(status);
}
