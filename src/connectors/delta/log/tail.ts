import type { ObjectStore } from '../../objects/store.js';
import { actionsOf, fileKey, logBroken, type Action, type AddAction } from './actions.js';
import type { Segment } from './listing.js';
import { commitPath, logPath, versionOf } from './names.js';
import { activeFiles, fileState, readState, type LogState } from './snapshot.js';

/** The end of a log, as whoever wants to commit there follows it. */
export class LogTail {
  /**
   * What would remove each active file, by its key: JSON without the last brackets. Undefined: not asked for. Kept, since to read a large
   * table's files anew after each lost version would lose every one.
   */
  files: Map<string, string> | undefined;
  /** A commit was put that is not the log's last. */
  #passed = false;

  private constructor(
    private readonly store: ObjectStore,
    private readonly tablePath: string,
    /** Undefined: there is no table. */
    public state: LogState | undefined,
    private segment: Segment | undefined,
  ) {}

  static async open(store: ObjectStore, tablePath: string): Promise<LogTail> {
    const read = await readState(store, tablePath);
    return new LogTail(store, tablePath, read?.state, read?.segment);
  }

  /** The version that a commit would make. */
  get next(): number {
    return (this.state?.version ?? -1) + 1;
  }

  /** To be called before `follow`. */
  async trackFiles(): Promise<void> {
    this.files = new Map();
    if (this.segment === undefined) return;
    for await (const add of activeFiles(this.store, this.tablePath, this.segment))
      this.files.set(fileKey(add), removal(add));
  }

  /**
   * False: another commit has this version, or there are later ones. A log loses its oldest entries in time (trim.ts), so that whoever has
   * slept for longer than that could put a version that nobody reads any more: whether it counts is to be read in the log.
   */
  async put(bytes: Uint8Array): Promise<boolean> {
    if (!(await this.store.putIfAbsent(commitPath(this.tablePath, this.next), bytes))) return false;
    this.#passed = await hasLater(this.store, this.tablePath, this.next);
    return !this.#passed;
  }

  /** Reads what was committed since. There has to be something: it is called when a version was lost. */
  async follow(): Promise<void> {
    const lost = this.next;
    if (this.state === undefined || this.#passed) await this.#reopen();
    else await this.#readOn(this.state);
    if (this.next === lost) throw logBroken(this.tablePath, `its commit ${lost} can't be made and is not there`);
  }

  async #reopen(): Promise<void> {
    const read = await readState(this.store, this.tablePath);
    this.state = read?.state;
    this.segment = read?.segment;
    if (this.files !== undefined) await this.trackFiles();
  }

  async #readOn(state: LogState): Promise<void> {
    for (;;) {
      const version = state.version + 1;
      const bytes = await this.store.get(commitPath(this.tablePath, version));
      if (bytes === undefined) return;
      const actions = actionsOf(bytes, this.tablePath, { files: this.files !== undefined });
      state.applyCommit(version, this.#tracking(actions));
    }
  }

  *#tracking(actions: Iterable<Action>): Generator<Action> {
    for (const action of actions) {
      const file = fileState(action);
      if (file !== undefined && 'add' in file) this.files?.set(fileKey(file.add), removal(file.add));
      else if (file !== undefined) this.files?.delete(fileKey(file.remove));
      yield action;
    }
  }
}

async function hasLater(store: ObjectStore, tablePath: string, version: number): Promise<boolean> {
  const folder = logPath(tablePath);
  for await (const page of store.list(folder, commitPath(tablePath, version)))
    if (page.some(({ path }) => (versionOf(path.slice(folder.length)) ?? -1) > version)) return true;
  return false;
}

/** A remove carries what the add of the very logical file said: its deletion vector too, without which it would be another. */
function removal({
  path,
  partitionValues,
  size,
  deletionVector,
  baseRowId,
  defaultRowCommitVersion,
}: AddAction): string {
  const remove = {
    path,
    dataChange: true,
    extendedFileMetadata: true,
    ...{ partitionValues, size, deletionVector, baseRowId, defaultRowCommitVersion },
  };
  return `{"remove":${JSON.stringify(remove).slice(0, -1)}`;
}
