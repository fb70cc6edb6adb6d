import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** How a connection is ended: orderly, or by a reset. Both sides of it. */
export type Cut = 'fin' | 'reset';

/** What is sent at once under a pace: bytes, and seconds of it. */
const SMALLEST_SLICE = 512;
const SLICE_SECONDS = 0.1;

/** Postgres' messages by their first byte. */
const COPY_IN = 0x47;
const COPY_OUT = 0x48;
const QUERY = 0x51;

/** How a request of HTTP that writes begins, and the answer to one that was done. */
const PUT = /^PUT (\S+) HTTP/;
const DONE = /^HTTP\/1\.1 200/;

/** Bytes of a request's first line that are looked at, and those of an answer up to its status. */
const LONGEST_LINE = 2_000;
const STATUS = 'HTTP/1.1 200'.length;

/** What a connection that goes through the proxy is doing, as far as its traffic tells. `putting`: it waits for the answer to a PUT. */
type Doing = 'talking' | 'copying' | 'copied' | 'committing' | 'putting';

/**
 * Moments at which a connection can be held: its COPY is done and the answer has come; its COMMIT is about to go to the server; the
 * server has committed, and the answer has come. Of an object store: a PUT is about to go to it; it has put the object, and the answer
 * has come.
 */
export type Moment = 'copied' | 'committing' | 'committed' | 'putting' | 'put';

/**
 * A TCP proxy in front of a Postgres server or an object store, through which all sessions of the workers go: it knows which of them copy
 * or put, and can pace them, stall them, end them, or lose the answer to their COMMIT or PUT.
 */
export class FaultProxy {
  readonly #links = new Set<Link>();
  readonly #server = createServer((client) => this.#accept(client));
  /** Bytes a second and connection, from the server to the client. */
  pace: number | undefined;
  /** Milliseconds that each chunk from the server takes longer. */
  delay = 0;
  /** New connections are refused. */
  closed = false;
  /** Connections that were refused so. */
  refused = 0;
  /** Chunks that `delay` or `pace` held up. */
  slowed = 0;
  #awaited: { moment: Moment; of: RegExp; then: (link: Link) => void }[] = [];

  private constructor(private target: number) {}

  static async start(targetPort: number): Promise<FaultProxy> {
    const proxy = new FaultProxy(targetPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Where connections lead from now on. */
  lead(targetPort: number): void {
    this.target = targetPort;
  }

  /** Connections in the middle of a COPY. */
  get copying(): readonly Link[] {
    return [...this.#links].filter(({ doing }) => doing === 'copying');
  }

  get links(): readonly Link[] {
    return [...this.#links];
  }

  /**
   * The next COMMIT after a COPY goes through, and its answer is lost with the connection. Resolves when that has happened; the answer
   * was there, so the commit took effect.
   */
  async loseCommitAnswer(): Promise<void> {
    const link = await this.next('committed');
    link.cut('reset');
  }

  /**
   * The next connection that comes to this moment is stalled there: what was about to pass waits until it is resumed, and is lost
   * when it is cut. `of`: the path of what is put.
   */
  next(moment: Moment, of = /^/): Promise<Link> {
    return new Promise((then) => this.#awaited.push({ moment, of, then }));
  }

  /** Nothing that was armed strikes any more. */
  disarm(): void {
    this.#awaited = [];
  }

  async stop(): Promise<void> {
    for (const link of this.#links) link.cut('reset');
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    if (this.closed) {
      this.refused++;
      client.on('error', () => undefined).resetAndDestroy();
      return;
    }
    const link = new Link(client, connect(this.target, '127.0.0.1'), this);
    this.#links.add(link);
    link.onEnd(() => this.#links.delete(link));
  }

  /** Called by a link that has come to a moment. True: it is to stall. */
  holds(link: Link, moment: Moment): boolean {
    const index = this.#awaited.findIndex((each) => each.moment === moment && each.of.test(link.path));
    const [held] = index < 0 ? [] : this.#awaited.splice(index, 1);
    held?.then(link);
    return held !== undefined;
  }
}

/** One connection through the proxy. */
export class Link {
  doing: Doing = 'talking';
  /** Of what it has put last, with the query of its URL. */
  path = '';
  #stalled = false;
  #ended = false;
  /** A part of a chunk waits for its time. */
  #slicing = false;
  /** Passes on what a moment has held back. */
  #held: (() => void) | undefined;
  readonly #onEnd: (() => void)[] = [];

  constructor(
    private readonly client: Socket,
    private readonly upstream: Socket,
    private readonly proxy: FaultProxy,
  ) {
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true).on('error', () => undefined);
      socket.on('close', () => this.#end());
    }
    client.on('data', (chunk) => this.#fromClient(chunk)).on('end', () => upstream.end());
    upstream.on('data', (chunk) => this.#fromServer(chunk)).on('end', () => client.end());
  }

  onEnd(then: () => void): void {
    this.#onEnd.push(then);
  }

  /** The sockets stay open, and nothing passes any more in either direction. */
  stall(): void {
    this.#stalled = true;
    this.client.pause();
    this.upstream.pause();
  }

  resume(): void {
    this.#stalled = false;
    const held = this.#held;
    this.#held = undefined;
    held?.();
    this.client.resume();
    // What comes next comes after the slices that wait.
    if (!this.#slicing) this.upstream.resume();
  }

  /** By which the server tells its session: client_port of pg_stat_activity. */
  get port(): number | undefined {
    return this.upstream.localPort;
  }

  get open(): boolean {
    return !this.#ended;
  }

  cut(how: Cut): void {
    // Until its sockets are closed it is still among the links, and nothing can strike it any more.
    this.doing = 'talking';
    for (const socket of [this.client, this.upstream]) {
      socket.removeAllListeners('data');
      if (how === 'reset') socket.resetAndDestroy();
      else socket.resume().end();
    }
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.client.destroySoon();
    this.upstream.destroySoon();
    for (const then of this.#onEnd) then();
  }

  #fromClient(chunk: Buffer): void {
    const asked = chunk[0] === QUERY && this.doing !== 'copying' ? this.#asked(chunk) : this.#puts(chunk);
    if (asked !== undefined && this.proxy.holds(this, asked)) this.#hold(() => this.#forward(chunk));
    else this.#forward(chunk);
  }

  #forward(chunk: Buffer): void {
    if (!this.upstream.write(chunk)) {
      this.client.pause();
      this.upstream.once('drain', () => this.#goOn(this.client));
    }
  }

  #asked(chunk: Buffer): Moment | undefined {
    const isCommit = chunk.subarray(5, 11).toString('latin1') === 'COMMIT';
    if (isCommit) this.doing = this.doing === 'copied' ? 'committing' : 'talking';
    else if (chunk.subarray(5, 13).toString('latin1') === 'ROLLBACK') this.doing = 'talking';
    return this.doing === 'committing' ? 'committing' : undefined;
  }

  #puts(chunk: Buffer): Moment | undefined {
    const path = this.doing === 'talking' ? PUT.exec(chunk.toString('latin1', 0, LONGEST_LINE))?.[1] : undefined;
    if (path === undefined) return undefined;
    this.doing = 'putting';
    this.path = path;
    return 'putting';
  }

  #fromServer(chunk: Buffer): void {
    const moment = this.#answered(chunk);
    if (moment !== undefined && this.proxy.holds(this, moment)) this.#hold(() => this.#deliver(chunk));
    else this.#deliver(chunk);
  }

  #answered(chunk: Buffer): Moment | undefined {
    const line = chunk.toString('latin1', 0, STATUS);
    if (line.startsWith('HTTP/')) return this.#hasPut(line);
    if (chunk[0] === COPY_IN || chunk[0] === COPY_OUT) this.doing = 'copying';
    else if (this.doing === 'copying' && endsInReady(chunk)) {
      this.doing = 'copied';
      return 'copied';
    }
    if (this.doing !== 'committing') return undefined;
    this.doing = 'talking';
    return chunk.includes('COMMIT\0') ? 'committed' : undefined;
  }

  #hasPut(line: string): Moment | undefined {
    if (this.doing !== 'putting' || line.endsWith('100')) return undefined;
    this.doing = 'talking';
    return DONE.test(line) ? 'put' : undefined;
  }

  #hold(pass: () => void): void {
    this.stall();
    this.#held = pass;
  }

  /** In slices, where there is a pace: a chunk may hold a partition. */
  #deliver(chunk: Buffer, delay = this.proxy.delay): void {
    const { pace } = this.proxy;
    const size = pace === undefined ? chunk.length : Math.max(SMALLEST_SLICE, Math.floor(pace * SLICE_SECONDS));
    const [slice, rest] = [chunk.subarray(0, size), chunk.subarray(size)];
    const wait = delay + (pace === undefined ? 0 : (slice.length / pace) * 1000);
    const more = this.client.write(slice);
    if (wait >= 1 || rest.length > 0) {
      this.proxy.slowed++;
      this.#slicing = true;
      this.upstream.pause();
      setTimeout(() => this.#deliverRest(rest), wait);
    } else if (!more) {
      this.upstream.pause();
      this.client.once('drain', () => this.#goOn(this.upstream));
    } else if (this.upstream.isPaused()) this.#goOn(this.upstream);
  }

  #deliverRest(rest: Buffer): void {
    if (this.#ended) return;
    if (this.#stalled) {
      this.#held = () => this.#deliverRest(rest);
      return;
    }
    this.#slicing = false;
    if (rest.length > 0) this.#deliver(rest, 0);
    else this.#goOn(this.upstream);
  }

  #goOn(socket: Socket): void {
    if (!this.#stalled && !(socket === this.upstream && this.#slicing)) socket.resume();
  }
}

/** ReadyForQuery, which ends every answer: 'Z', length 5, a status. */
function endsInReady(chunk: Buffer): boolean {
  return chunk.length >= 6 && chunk.at(-6) === 0x5a && chunk.at(-2) === 5;
}
