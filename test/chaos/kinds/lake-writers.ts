import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { tablePath } from '../../../src/connectors/lake/table-path.js';
import { askPython, DELTA_RS, pythonWith } from '../../support/python.js';
import { settled } from '../hand.js';
import type { FaultKind } from '../kind.js';
import type { Lake } from '../lakes.js';
import type { Scene } from '../scene.js';
import { placeOf } from '../targets/lake-reader.js';
import { startRival } from './operator.js';

/** Several writers at one Delta table. */

/** Versions that delta-rs has committed, each of one row of generation 0, from now on until somebody ends it. */
class Foreigner {
  private constructor(
    private readonly until: string,
    private readonly versions: Promise<unknown>,
  ) {}

  static async begin({ stack, name, shape, tables }: Scene): Promise<Foreigner> {
    const until = join(dirname(stack.config), `${name}-until`);
    const place = placeOf(stack.lakes!.at(shape.destination as Lake).location);
    const given = { ...place, path: tablePath(tables[0]!)!, until };
    const versions = askPython(await pythonWith(DELTA_RS), PROGRAM, given);
    versions.catch(() => undefined);
    return new Foreigner(until, versions);
  }

  async end(): Promise<number[]> {
    await writeFile(this.until, '');
    return (await this.versions) as number[];
  }
}

/** Appends a row at a time, of the table's own schema; a conflict is its own to retry. */
const PROGRAM = `
import json, os, sys, time, pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
given = json.loads(sys.argv[1])
url, options = given['url'] + '/' + given['path'], given['options']
schema = pa.schema(DeltaTable(url, storage_options=options).schema().to_arrow())
versions = []
while not os.path.exists(given['until']) and len(versions) < 200:
  row = {'id': -1000000 - len(versions), 'gen': 0, 'touched': 0, 'note': 'foreign'}
  table = DeltaTable(url, storage_options=options)
  try: write_deltalake(table, pa.Table.from_pylist([row], schema=schema), mode='append')
  except CommitFailedError: continue
  versions.append(table.version())
  time.sleep(0.1)
print(json.dumps(versions))`;

const writers: FaultKind = {
  name: 'delta-writers',
  about: 'two or three jobs append to one Delta table, and delta-rs a row at a time, all at the same moment',
  into: ['delta', 'delta-s3'],
  shape: { filled: true, mode: 'append', tables: 1, writes: false, consistency: 'per-partition', seconds: 2 },
  async run(scene) {
    const foreigner = await Foreigner.begin(scene);
    const rivals = scene.random.int(1, 2);
    const begun = await scene.start();
    for (let number = 1; number <= rivals; number++) {
      const rival = await startRival(scene, number);
      scene.adopt(rival, rival.firstExecutionRunId);
      await scene.moment(500);
    }
    await Promise.all([settled(scene), begun.result()]);
    const versions = await foreigner.end();
    scene.expected = { copies: 1 + rivals, foreign: versions.length };
    scene.struck(between(versions));
  },
};

/** Commits of others, between two of these. */
function between(versions: readonly number[]): number {
  return versions.length === 0 ? 0 : versions.at(-1)! - versions[0]! + 1 - versions.length;
}

export const LAKE_WRITER_KINDS: readonly FaultKind[] = [writers];
