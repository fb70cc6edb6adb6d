import { createHash } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Which conditions it honours, or the error with which it answers every request. */
export interface FakeS3Options {
  readonly ifNoneMatch?: boolean;
  readonly ifMatch?: boolean;
  readonly failure?: { readonly status: number; readonly code: string; readonly message?: string };
}

export interface FakeS3 {
  readonly endpoint: string;
  /** By path: `/bucket/key`. */
  readonly objects: ReadonlyMap<string, Buffer>;
  stop(): void;
}

interface Request {
  readonly method: string;
  readonly path: string;
  readonly parameters: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: Buffer | string;
}

/** As much of S3 as a probe and an upload need, kept as by servers that don't keep all of it. */
export async function startFakeS3(options: FakeS3Options): Promise<FakeS3> {
  const fake = new Fake(options);
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', headers, url = '/' } = request;
      const { pathname, searchParams: parameters } = new URL(url, 'http://s3');
      const path = decodeURIComponent(pathname);
      const answer = fake.answer({ method, path, parameters, headers, body: Buffer.concat(chunks) });
      response.writeHead(answer.status, answer.headers).end(method === 'HEAD' ? undefined : answer.body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, objects: fake.objects, stop };
}

class Fake {
  readonly objects = new Map<string, Buffer>();

  constructor(private readonly options: FakeS3Options) {}

  answer(request: Request): Answer {
    const { failure } = this.options;
    if (failure !== undefined) return failed(failure.status, failure.code, failure.message);
    if (request.parameters.has('uploads'))
      return xml('<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>');
    if (request.parameters.has('uploadId')) return this.#upload(request);
    if (request.method === 'PUT') return this.#put(request);
    if (request.method === 'POST') return this.#remove(request);
    const found = this.objects.get(request.path);
    if (found === undefined) return failed(404, 'NoSuchKey');
    const headers = { ETag: tagOf(found), 'Content-Length': found.length, 'Last-Modified': new Date().toUTCString() };
    return { status: 200, headers, body: found };
  }

  #put({ path, headers, body }: Request): Answer {
    const found = this.objects.get(path);
    const { 'if-none-match': none, 'if-match': wanted } = headers;
    const taken = this.options.ifNoneMatch === true && none === '*' && found !== undefined;
    const another = this.options.ifMatch === true && wanted !== undefined && (!found || tagOf(found) !== wanted);
    if (taken || another) return failed(412, 'PreconditionFailed');
    this.objects.set(path, body);
    return { status: 200, headers: { ETag: tagOf(body) } };
  }

  /** The end is answered as its repeat is by S3: what was put together is there, and the upload is not known any more. */
  #upload({ method, path, body }: Request): Answer {
    const parts = `${path}?parts`;
    const before = this.objects.get(parts) ?? Buffer.alloc(0);
    if (method === 'PUT') {
      this.objects.set(parts, Buffer.concat([before, body]));
      return { status: 200, headers: { ETag: tagOf(body) } };
    }
    this.objects.set(path, before);
    this.objects.delete(parts);
    return failed(404, 'NoSuchUpload');
  }

  #remove({ path, body }: Request): Answer {
    for (const [, key] of body.toString().matchAll(/<Key>([^<]*)<\/Key>/g)) {
      this.objects.delete(`${path.replace(/\/$/, '')}/${key}`);
    }
    return xml('<DeleteResult></DeleteResult>');
  }
}

function tagOf(bytes: Buffer): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`;
}

function failed(status: number, code: string, message = 'a message'): Answer {
  return { ...xml(`<Error><Code>${code}</Code><Message>${message}</Message></Error>`), status };
}

function xml(body: string): Answer {
  return { status: 200, headers: { 'Content-Type': 'application/xml' }, body };
}
