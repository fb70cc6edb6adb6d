import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Which conditions it honours, or the error with which it answers every request. */
export interface FakeS3Options {
  readonly ifNoneMatch?: boolean;
  readonly ifMatch?: boolean;
  readonly failure?: { readonly status: number; readonly code: string; readonly message?: string };
}

export interface FakeS3 {
  readonly endpoint: string;
  readonly objects: ReadonlyMap<string, Buffer>;
  stop(): void;
}

/** As much of S3 as a probe needs, as it is kept by servers that don't keep all of it. */
export async function startFakeS3(options: FakeS3Options): Promise<FakeS3> {
  const objects = new Map<string, Buffer>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => answer(options, objects, request, Buffer.concat(chunks), response));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, objects, stop };
}

const tagOf = (bytes: Buffer): string => `"${createHash('md5').update(bytes).digest('hex')}"`;

function answer(
  options: FakeS3Options,
  objects: Map<string, Buffer>,
  request: IncomingMessage,
  body: Buffer,
  response: ServerResponse,
): void {
  const { failure } = options;
  if (failure !== undefined) return fail(response, failure.status, failure.code, failure.message);
  const key = decodeURIComponent(new URL(request.url!, 'http://s3').pathname);
  const found = objects.get(key);
  if (request.method === 'PUT') {
    if (options.ifNoneMatch === true && request.headers['if-none-match'] === '*' && found !== undefined)
      return fail(response, 412, 'PreconditionFailed');
    const wanted = request.headers['if-match'];
    if (options.ifMatch === true && wanted !== undefined && (found === undefined || tagOf(found) !== wanted))
      return fail(response, 412, 'PreconditionFailed');
    objects.set(key, body);
    return void response.writeHead(200, { ETag: tagOf(body) }).end();
  }
  if (request.method === 'POST') return remove(objects, key, body, response);
  if (found === undefined) return fail(response, 404, 'NoSuchKey');
  const headers = { ETag: tagOf(found), 'Content-Length': found.length, 'Last-Modified': new Date().toUTCString() };
  response.writeHead(200, headers).end(request.method === 'HEAD' ? undefined : found);
}

function remove(objects: Map<string, Buffer>, bucket: string, body: Buffer, response: ServerResponse): void {
  for (const [, key] of body.toString().matchAll(/<Key>([^<]*)<\/Key>/g)) {
    objects.delete(`${bucket.replace(/\/$/, '')}/${key}`);
  }
  response.writeHead(200, { 'Content-Type': 'application/xml' }).end('<DeleteResult></DeleteResult>');
}

function fail(response: ServerResponse, status: number, code: string, message = 'a message'): void {
  const xml = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;
  response.writeHead(status, { 'Content-Type': 'application/xml' }).end(xml);
}
