import type { ChunkSink, Meter, Place, Row, RowBatch, RowStream } from '../../types.js';
import { copyPlaceOf, sqlstateOf, sqlstateSays, type ServerFields } from '../errors.js';
import type { RowEncoder } from '../rows/encoder.js';
import { Refusal } from '../rows/refusal.js';
import type { PgSession } from '../session.js';
import { CopyIn, frameCopyData, pipe, send } from '../wire/index.js';
import type { Quarantine, Reject } from './quarantine.js';

/**
 * Rows are loaded in batches of about so many bytes, each under a savepoint: all of a batch is in memory until it is loaded, and
 * savepoints beyond the first 64 of a transaction slow others down that look at its rows.
 */
const BATCH_BYTES = 4 * 1024 * 1024;
const BATCH_ROWS = 20_000;
const FRAME_BYTES = 256 * 1024;

/** Only of these classes is it the row that is at fault: data exceptions and integrity constraints. */
const OF_ROWS = /^(22|23)/;

interface Pending {
  readonly batch: RowBatch;
  readonly index: number;
  /** From 1 on, among the stream's decoded rows. */
  readonly position: number;
  /** Where its text ends. */
  readonly end: number;
}

interface Aside {
  /** A COPY in text. */
  readonly sql: string;
  /** Within a savepoint: what its rows have as xmin. */
  readonly xid: () => Promise<string>;
  readonly encoder: RowEncoder;
  readonly quarantine: Quarantine;
  readonly meter: Meter;
}

/** Loads a stream without the rows that are refused, which go to the quarantine. Answers with the rows written, and each xmin of theirs. */
export async function loadSettingAside(
  session: PgSession,
  stream: RowStream,
  aside: Aside,
): Promise<{ readonly written: number; readonly xids: readonly string[] }> {
  const loader = new SettingAside(session, aside);
  for await (const batch of stream) await loader.take(batch);
  await loader.flush();
  return loader;
}

class SettingAside {
  written = 0;
  readonly xids: string[] = [];
  #position = 0;
  #pending: Pending[] = [];

  constructor(
    private readonly session: PgSession,
    private readonly aside: Aside,
  ) {}

  async take(batch: RowBatch): Promise<void> {
    const { encoder, quarantine, meter } = this.aside;
    for (const { raw, place, error } of batch.malformed ?? []) quarantine.add({ raw, place, error, kind: error });
    let bytes = 0;
    for (let index = 0; index < batch.rows.length; index++) {
      const before = encoder.text.length;
      this.#add(batch, index);
      bytes += encoder.text.length - before;
      if (encoder.text.length >= BATCH_BYTES || this.#pending.length >= BATCH_ROWS) await this.flush();
    }
    meter.bytes += batch.bytes ?? bytes;
  }

  async flush(): Promise<void> {
    const { encoder, quarantine, meter } = this.aside;
    await this.#load(0, this.#pending.length);
    this.#pending = [];
    encoder.text.truncate(0);
    await quarantine.flush();
    meter.rows = this.written;
  }

  #add(batch: RowBatch, index: number): void {
    const { encoder, quarantine } = this.aside;
    const position = (this.#position += 1);
    try {
      encoder.add(batch.rows[index]!);
      this.#pending.push({ batch, index, position, end: encoder.text.length });
    } catch (cause) {
      if (!(cause instanceof Refusal)) throw cause;
      const { column, why } = cause;
      const kind = column === undefined ? why : `column ${column}: ${why}`;
      quarantine.add(rejectOf({ batch, index, position }, kind, kind));
    }
  }

  /**
   * Loads the rows [from, to) that wait, without those that the server refuses. It says in which line it stopped, so that those before
   * it are loaded again by themselves; where it says none, as for a foreign key, halves are tried.
   */
  async #load(from: number, to: number): Promise<void> {
    while (from < to) {
      const refused = await this.#tryLoad(from, to);
      if (!refused) return;
      const bad = to - from === 1 ? from : badRow(refused, from, to);
      const next = bad ?? from + Math.floor((to - from) / 2);
      await this.#load(from, next);
      if (bad !== undefined) this.aside.quarantine.add(this.#refused(bad, refused));
      from = bad === undefined ? next : next + 1;
    }
  }

  /** Answers with the server's error when a row is refused: nothing of [from, to) is loaded then. */
  async #tryLoad(from: number, to: number): Promise<ServerFields | undefined> {
    const { session, aside } = this;
    await session.query('SAVEPOINT batch');
    try {
      const copy = new CopyIn(session.client, { sql: aside.sql, signal: session.options.signal });
      const feed = { run: (sink: ChunkSink) => this.#send(from, to, sink), stop: () => undefined };
      this.written += (await pipe(feed, copy)).rowsWritten;
    } catch (cause) {
      const sqlstate = sqlstateOf(cause);
      if (sqlstate === undefined || !OF_ROWS.test(sqlstate)) throw session.mapped(cause);
      session.options.signal.throwIfAborted();
      await session.query('ROLLBACK TO SAVEPOINT batch; RELEASE SAVEPOINT batch');
      return cause as ServerFields;
    }
    this.xids.push(await aside.xid());
    await session.query('RELEASE SAVEPOINT batch');
    return undefined;
  }

  async #send(from: number, to: number, sink: ChunkSink): Promise<number> {
    const { text } = this.aside.encoder;
    const end = this.#pending[to - 1]!.end;
    let at = from === 0 ? 0 : this.#pending[from - 1]!.end;
    for (; at < end; at += FRAME_BYTES) {
      await send(sink, frameCopyData(text.slice(at, Math.min(at + FRAME_BYTES, end))));
    }
    return to - from;
  }

  #refused(index: number, error: ServerFields): Reject {
    const sqlstate = sqlstateOf(error)!;
    const { column = error.column } = copyPlaceOf(error);
    const { constraint } = error;
    const named = [column && `column ${column}`, constraint && `constraint ${constraint}`].filter(Boolean);
    const at = named.length === 0 ? '' : ` (${named.join(', ')})`;
    const kind = `the server ${sqlstateSays(sqlstate)}${at} (SQLSTATE ${sqlstate})`;
    return rejectOf(this.#pending[index]!, `${sqlstate}: ${error.message}${at}`, kind);
  }
}

/** Undefined: the error is not of one line. */
function badRow(error: ServerFields, from: number, to: number): number | undefined {
  const { line } = copyPlaceOf(error);
  return line === undefined || from + line > to ? undefined : from + line - 1;
}

function rejectOf({ batch, index, position }: Omit<Pending, 'end'>, error: string, kind: string): Reject {
  const place: Place = batch.place?.(index) ?? { line: position };
  return { place, raw: batch.raw?.(index) ?? rawOf(batch.rows[index]!), error, kind };
}

/** For people: its values as a JSON list. */
function rawOf(row: Row): string {
  return JSON.stringify(row, (_, value: unknown) => {
    if (typeof value === 'bigint') return value.toString();
    return value instanceof Uint8Array ? `\\x${Buffer.from(value).toString('hex')}` : value;
  });
}
