import type { InitializeHook, LoadHook } from 'node:module';
import { applyEdit } from './edit.js';
import type { Edit } from './rules.js';

/** In node's thread of module hooks. */
let edits: readonly (Edit & { readonly url: string })[] = [];

export const initialize: InitializeHook<readonly Edit[]> = (given) => {
  const dist = new URL('../../../', import.meta.url);
  edits = given.map((edit) => ({ ...edit, url: new URL(edit.file, dist).href }));
};

/** A module whose text is not as a rule expects fails to load, and its process with it. */
export const load: LoadHook = async (url, context, nextLoad) => {
  const loaded = await nextLoad(url, context);
  const own = edits.filter((edit) => edit.url === url);
  if (own.length === 0) return loaded;
  return { ...loaded, source: own.reduce(applyEdit, textOf(loaded.source)) };
};

function textOf(source: Awaited<ReturnType<LoadHook>>['source']): string {
  return typeof source === 'string' ? source : new TextDecoder().decode(source);
}
