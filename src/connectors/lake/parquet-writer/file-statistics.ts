import type { ColumnStatistics, LakeType } from '../model.js';
import { compareBounds, type Bound, type Bounds } from './bounds.js';
import type { ChunkFacts } from './chunk.js';
import type { FileColumn } from './schema.js';
import { valueText } from './value-text.js';

interface Gathered {
  bounds: Bounds | undefined;
  /** A row group had values and no bounds: a NaN was among them. */
  unbounded: boolean;
  nulls: number;
}

/** Statistics of a whole file, from those of its row groups. */
export class FileStatistics {
  readonly #gathered: Gathered[];

  constructor(private readonly columns: readonly FileColumn[]) {
    this.#gathered = columns.map(() => ({ bounds: undefined, unbounded: false, nulls: 0 }));
  }

  /** `nulls`: of a list column, how many of its lists are NULL. */
  add(column: number, { bounds, nulls: inLeaf, entries }: ChunkFacts, nulls = inLeaf): void {
    const gathered = this.#gathered[column]!;
    gathered.nulls += nulls;
    if (bounds !== undefined) gathered.bounds = joined(gathered.bounds, bounds);
    else if (entries > inLeaf) gathered.unbounded = true;
  }

  byName(): Readonly<Record<string, ColumnStatistics>> {
    const entries = this.columns.map(
      ({ name, type }, index) => [name, statistics(type, this.#gathered[index]!)] as const,
    );
    return Object.fromEntries(entries);
  }
}

function joined(one: Bounds | undefined, other: Bounds): Bounds {
  if (one === undefined) return other;
  return {
    min: compareBounds(other.min, one.min) < 0 ? other.min : one.min,
    max: compareBounds(other.max, one.max) > 0 ? other.max : one.max,
  };
}

function statistics(type: LakeType, { bounds, unbounded, nulls }: Gathered): ColumnStatistics {
  if (bounds === undefined || unbounded) return { nulls };
  return { min: minText(bounds.min, type), max: maxText(bounds.max, type), nulls };
}

/** Characters of a text that are kept: a receipt holds them. */
const KEPT = 64;
/** Follows what was cut off the greatest text: no text that begins with the rest is greater. */
const GREATEST = '\u{10ffff}';

function minText(bound: Bound, type: LakeType): string {
  const text = valueText(bound, type);
  return type.kind === 'string' ? firstCharacters(text) : text;
}

function maxText(bound: Bound, type: LakeType): string {
  const text = valueText(bound, type);
  if (type.kind !== 'string') return text;
  const kept = firstCharacters(text);
  return kept.length === text.length ? kept : kept + GREATEST;
}

function firstCharacters(text: string): string {
  return text.length <= KEPT
    ? text
    : Array.from(text.slice(0, KEPT * 2))
        .slice(0, KEPT)
        .join('');
}
