import type { ObjectStore } from '../objects/store.js';
import type { Versions } from './versions.js';

/** The form that Hive's SymlinkTextInputFormat has, which Trino, Athena and Presto read too: the URL of a file in each line. */
export function pointerPath(table: string): string {
  return `${table}/_symlink_format_manifest/manifest`;
}

/**
 * Points readers to the newest state of the table. Whoever comes late with an older one can't undo it: the pointer is replaced only if
 * it is still what it was before the state was looked up. A list names files of one attempt, and comes back never, but for the empty one, whose tag
 * may be that of another empty list: after that, the state is looked up again.
 */
export async function point(store: ObjectStore, table: string, versions: Versions): Promise<void> {
  const path = pointerPath(table);
  for (;;) {
    const before = await store.head(path);
    const last = await versions.last();
    const { files = [] } = (await versions.content(last)) ?? {};
    const lines = files.map((file) => `${store.url}/${encoded(file)}\n`);
    if (!(await store.replace(path, Buffer.from(lines.join('')), before?.tag))) continue;
    if (before?.size !== 0 || (await versions.last(last)) === last) return;
  }
}

/** As a URL has it. */
function encoded(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}
