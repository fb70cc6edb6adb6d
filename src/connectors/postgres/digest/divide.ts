import type { ColumnShape, Partition, TableRecord, TableSpec } from '../../../core/model.js';
import type { DigestForm } from '../../digester.js';
import { typeOf } from '../formats.js';
import { quoteIdent } from '../sql.js';

/**
 * A partition's range of keys, without the job's own condition: every row that was copied meets that, and it may speak of columns and
 * tables that only the source has. Undefined when the two can't be told apart.
 */
export function rangeOf({ where }: TableSpec, { predicate }: Partition): string | undefined {
  if (where === undefined) return predicate;
  const condition = `(\n${where}\n)`;
  if (predicate === condition) return 'TRUE';
  const tail = ` AND ${condition}`;
  return predicate.endsWith(tail) ? predicate.slice(0, -tail.length) : undefined;
}

/**
 * Why a destination with these columns can't find a partition's rows by its predicate; undefined: it can. Ranges mean the same
 * there only over columns that are copied, of the same type, and sorted in the same way.
 */
export function divisible(
  record: TableRecord,
  target: DigestForm,
  samples: readonly [Partition, Partition],
): string | undefined {
  const [first, last] = samples;
  if (first.relation === undefined) return 'its partitions are queries';
  if (first.relation !== last.relation) return 'its partitions are of several tables of the source';
  const ranges = samples.map((partition) => rangeOf(record.spec, partition));
  if (ranges.includes(undefined)) return 'its ranges and its condition can not be told apart';
  const text = ranges.join(' ');
  if (/\b(ctid|tableoid|xmin)\b/.test(text)) return 'its partitions are pages of the source';
  const keys = record.shape.columns.filter(({ name }) => text.includes(quoteIdent(name)));
  return keys
    .map((key) =>
      differently(
        key,
        target.find(({ name }) => name === key.name),
      ),
    )
    .find((why) => why !== undefined);
}

function differently(source: ColumnShape, target: ColumnShape | undefined): string | undefined {
  const column = `"${source.name}"`;
  if (target === undefined) return `its partitions are ranges of ${column}, which is not copied`;
  const [from, to] = [typeOf(source), typeOf(target)];
  if (from.printed !== to.printed || JSON.stringify(from.node) !== JSON.stringify(to.node)) {
    return `its partitions are ranges of ${column}, which has another type there`;
  }
  if (!isSorted(from.node)) return undefined;
  if (source.collation !== undefined && source.collation === target.collation) return undefined;
  return `its partitions are ranges of ${column}, which may sort otherwise there (only a collation of its own, equal on both sides, would tell)`;
}

/** Types whose order is that of a collation. Of what is unknown it may be. */
function isSorted(node: ReturnType<typeof typeOf>['node']): boolean {
  return !('builtin' in node) || ['text', 'varchar', 'bpchar', 'name'].includes(node.builtin);
}
