import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { S3Credentials, S3Location } from '../../src/connectors/objects/location.js';
import { portFor } from '../../src/devstack/ports.js';
import { spawnSupervised, type Supervised } from '../../src/devstack/supervised.js';
import { s3Program } from './s3-program.js';

/** Milliseconds until the server has to listen, on a busy machine. */
const START_TIMEOUT = 60_000;

/** Milliseconds for a hook that starts one: on a new machine the program is built first. */
export const S3_START_TIMEOUT = 1_200_000;

/** An S3 server over a folder of its own, which honours `If-None-Match` and `If-Match`. */
export interface S3Server extends AsyncDisposable {
  readonly endpoint: string;
  readonly bucket: string;
  readonly credentials: Required<Omit<S3Credentials, 'sessionToken'>>;
  /** A place of its own in the bucket. */
  location(prefix?: string): S3Location;
  /** A client of its own, for what a store doesn't do. */
  client(): S3Client;
  /** It was started and not killed. */
  readonly running: boolean;
  /** Kills it as a crash does. What was acknowledged is kept. */
  kill(): Promise<void>;
  /** Kills it if it runs, and starts it over the same folder and at the same address. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startS3(): Promise<S3Server> {
  const server = new Server(await s3Program(), await mkdtemp(join(tmpdir(), 'longhaul-s3-')), await portFor('S3'));
  await server.begin();
  return server;
}

class Server implements S3Server {
  readonly bucket = 'lake';
  readonly credentials = { accessKeyId: `test-${randomUUID()}`, secretAccessKey: randomUUID() };
  readonly endpoint: string;
  #running: Supervised | undefined;

  constructor(
    private readonly program: string,
    private readonly folder: string,
    private readonly port: number,
  ) {
    this.endpoint = `http://127.0.0.1:${port}`;
  }

  async begin(): Promise<void> {
    await mkdir(join(this.folder, 'data'));
    await this.#start();
    const client = this.client();
    await client.send(new CreateBucketCommand({ Bucket: this.bucket }));
    client.destroy();
  }

  location(prefix: string = randomUUID()): S3Location {
    const { bucket, endpoint, credentials } = this;
    return { kind: 's3', bucket, prefix, endpoint, credentials };
  }

  client(): S3Client {
    const { endpoint, credentials } = this;
    return new S3Client({ endpoint, credentials, region: 'us-east-1', forcePathStyle: true });
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  async kill(): Promise<void> {
    await this.#running?.stop('SIGKILL');
    this.#running = undefined;
  }

  async restart(): Promise<void> {
    await this.kill();
    await this.#start();
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #start(): Promise<void> {
    const { accessKeyId, secretAccessKey } = this.credentials;
    const args = [`127.0.0.1:${this.port}`, join(this.folder, 'data')];
    const running = await spawnSupervised(this.program, args, {
      logFile: join(this.folder, 'log'),
      cwd: this.folder,
      env: { ...process.env, ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey },
      stopSignal: 'SIGTERM',
      graceMs: 10_000,
    });
    this.#running = running;
    const deadline = Date.now() + START_TIMEOUT;
    while (!(await listens(this.port))) {
      if (running.exit() !== undefined || Date.now() > deadline) {
        throw new Error(`the S3 server did not start: ${await running.logged()}`);
      }
      await sleep(20);
    }
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}
