import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { probeStore } from '../../src/connectors/objects/probe.js';
import type { ObjectInfo, ObjectStore, OpenStore } from '../../src/connectors/objects/store.js';
import { code } from './fixture.js';

/** One place, as the contract's tests need it. They use paths of their own in it. */
export interface StoreFixture extends AsyncDisposable {
  /** The place, opened anew: as by another process. */
  open(options?: { signal?: AbortSignal }): OpenStore;
  /** What writers that did not finish have left, by any name. */
  leftovers(): Promise<readonly string[]>;
}

/** More than a part of an upload, and no whole number of them. */
const LARGE = 20 * 1024 * 1024 + 17;

const text = (content: string): Buffer => Buffer.from(content);

const textAt = async (store: ObjectStore, path: string): Promise<string | undefined> => {
  const bytes = await store.get(path);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString();
};

async function listed(store: ObjectStore, prefix: string, after?: string): Promise<ObjectInfo[]> {
  const found: ObjectInfo[] = [];
  for await (const page of store.list(prefix, after)) found.push(...page);
  return found;
}

const paths = async (store: ObjectStore, prefix: string, after?: string): Promise<string[]> =>
  (await listed(store, prefix, after)).map(({ path }) => path);

/** What every `ObjectStore` does. */
export function objectStoreContract(name: string, make: () => Promise<StoreFixture>): void {
  describe(`an object store: ${name}`, () => {
    let fixture: StoreFixture;
    let store: OpenStore;
    beforeAll(async () => {
      fixture = await make();
      store = fixture.open();
    });
    afterAll(async () => {
      await store[Symbol.asyncDispose]();
      await fixture[Symbol.asyncDispose]();
    });

    const folder = (): string => `tests/${randomUUID()}`;

    it('has nothing where nothing was put', async () => {
      const path = `${folder()}/none`;
      expect(await store.get(path)).toBeUndefined();
      expect(await store.head(path)).toBeUndefined();
      expect(await paths(store, path)).toEqual([]);
      await expect(store.range(path, 0, 1)).rejects.toEqual(code('TargetChanged'));
    });

    it('has what was put, whole and in ranges', async () => {
      const path = `${folder()}/a/b=c d/e%20f.json`;
      expect(await store.putIfAbsent(path, text('0123456789'))).toBe(true);
      expect(await textAt(store, path)).toBe('0123456789');
      expect(Buffer.from(await store.range(path, 2, 5)).toString()).toBe('234');
      expect(await store.range(path, 4, 4)).toHaveLength(0);
      expect(await store.head(path)).toMatchObject({ path, size: 10 });
      await expect(store.range(path, 8, 12)).rejects.toEqual(code('TargetChanged'));
      await expect(store.range(path, 20, 21)).rejects.toEqual(code('TargetChanged'));
    });

    it('holds empty objects', async () => {
      const path = `${folder()}/empty`;
      expect(await store.putIfAbsent(path, text(''))).toBe(true);
      expect(await store.get(path)).toHaveLength(0);
      expect(await store.putIfAbsent(path, text('x'))).toBe(false);
    });

    it('puts only where nothing is, and knows its own bytes', async () => {
      const path = `${folder()}/receipt.json`;
      expect(await store.putIfAbsent(path, text('mine'))).toBe(true);
      expect(await store.putIfAbsent(path, text('theirs'))).toBe(false);
      expect(await store.putIfAbsent(path, text('mine'))).toBe(true);
      expect(await textAt(store, path)).toBe('mine');
    });

    it('lets one of many puts at the same time win', async () => {
      const path = `${folder()}/contested`;
      const stores = Array.from({ length: 4 }, () => fixture.open());
      const contents = Array.from({ length: 24 }, (_, index) => `content ${index}`);
      const won = await Promise.all(
        contents.map((content, index) => stores[index % stores.length]!.putIfAbsent(path, text(content))),
      );
      const winners = contents.filter((_, index) => won[index]);
      expect(winners).toHaveLength(1);
      expect(await textAt(store, path)).toBe(winners[0]);
      for (const each of stores) await each[Symbol.asyncDispose]();
    });

    it('replaces what was seen, and nothing else', async () => {
      const path = `${folder()}/pointer`;
      expect(await store.replace(path, text('one'), 'no such tag')).toBe(false);
      expect(await store.replace(path, text('one'), undefined)).toBe(true);
      expect(await store.replace(path, text('other'), undefined)).toBe(false);
      const { tag } = (await store.head(path))!;
      expect(await store.replace(path, text('two'), tag)).toBe(true);
      expect(await store.replace(path, text('six'), tag)).toBe(false);
      expect(await store.replace(path, text('two'), tag)).toBe(true);
      expect(await textAt(store, path)).toBe('two');
    });

    it('loses no replacement of many at the same time', async () => {
      const path = `${folder()}/counter`;
      await store.putIfAbsent(path, text('0'));
      const count = async () => {
        for (let done = 0; done < 5;) {
          const { tag } = (await store.head(path))!;
          const counter = Number((await textAt(store, path))!.split(' ')[0]);
          // The tag is older than the content, or of it: never newer. A number of its own makes the bytes nobody else's.
          if (await store.replace(path, text(`${counter + 1} ${randomUUID()}`), tag)) done++;
        }
      };
      await Promise.all([count(), count(), count(), count()]);
      expect((await textAt(store, path))!.split(' ')[0]).toBe('20');
    });

    it('has a tag that each replacement changes, the same when listed', async () => {
      const path = `${folder()}/tagged`;
      await store.putIfAbsent(path, text('0'));
      const tags = new Set<string>();
      for (let index = 1; index <= 10; index++) {
        const { tag } = (await store.head(path))!;
        expect((await listed(store, path)).map((each) => each.tag)).toEqual([tag]);
        tags.add(tag);
        expect(await store.replace(path, text(String(index % 10)), tag)).toBe(true);
      }
      expect(tags.size).toBe(10);
    });

    it('shows what is created when it is finished, as a whole', async () => {
      const path = `${folder()}/part-0.parquet`;
      const content = randomBytes(LARGE);
      await using writer = await store.create(path);
      const chunk = Buffer.alloc(1_000_003);
      for (let from = 0; from < LARGE; from += chunk.length) {
        const some = chunk.subarray(0, content.copy(chunk, 0, from, from + chunk.length));
        await writer.write(some);
        chunk.fill(0);
      }
      expect(await store.head(path)).toBeUndefined();
      expect(await writer.finish()).toBe(LARGE);
      expect((await store.head(path))?.size).toBe(LARGE);
      expect(Buffer.compare((await store.get(path))!, content)).toBe(0);
    });

    it.each([0, 5, 8 * 1024 * 1024, 8 * 1024 * 1024 + 1])('creates objects of %i bytes', async (size) => {
      const path = `${folder()}/sized`;
      const content = randomBytes(size);
      await using writer = await store.create(path);
      await writer.write(content);
      expect(await writer.finish()).toBe(size);
      expect(Buffer.compare((await store.get(path))!, content)).toBe(0);
      expect(await fixture.leftovers()).toEqual([]);
    });

    it.each([5, LARGE])('finishes an object of %i bytes once', async (size) => {
      const path = `${folder()}/once`;
      await using writer = await store.create(path);
      await writer.write(randomBytes(size));
      await writer.finish();
      await expect(writer.finish()).rejects.toMatchObject({ name: 'LonghaulError' });
      expect((await store.head(path))?.size).toBe(size);
    });

    it.each([5, LARGE])('leaves nothing of %i bytes that are not finished', async (size) => {
      const path = `${folder()}/unfinished`;
      {
        await using writer = await store.create(path);
        await writer.write(randomBytes(size));
        if (size === LARGE) expect(await fixture.leftovers()).not.toEqual([]);
      }
      expect(await store.head(path)).toBeUndefined();
      expect(await fixture.leftovers()).toEqual([]);
    });

    it('leaves nothing of an attempt that is aborted', async () => {
      const path = `${folder()}/aborted`;
      const attempt = new AbortController();
      const reason = new Error('the attempt has ended');
      const opened = fixture.open({ signal: attempt.signal });
      {
        await using writer = await opened.create(path);
        await writer.write(randomBytes(LARGE));
        attempt.abort(reason);
        await expect(writer.write(randomBytes(LARGE))).rejects.toBe(reason);
        await expect(writer.finish()).rejects.toBe(reason);
      }
      await opened[Symbol.asyncDispose]();
      expect(await store.head(path)).toBeUndefined();
      expect(await fixture.leftovers()).toEqual([]);
    });

    it('does nothing once it is aborted', async () => {
      const path = `${folder()}/late`;
      const reason = new Error('the attempt has ended');
      const late = fixture.open({ signal: AbortSignal.abort(reason) });
      const methods: (() => Promise<unknown>)[] = [
        ...[() => late.get(path), () => late.range(path, 0, 1), () => late.head(path), () => late.delete([path])],
        ...[() => late.putIfAbsent(path, text('x')), () => late.replace(path, text('x'), 'tag')],
        ...[() => listed(late, path), async () => (await late.create(path)).finish(), () => late.sweep(new Date())],
      ];
      for (const method of methods) await expect(method()).rejects.toBe(reason);
      expect(await store.head(path)).toBeUndefined();
    });

    it('lists in the order of UTF-8 bytes, folders among the rest', async () => {
      const base = folder();
      const names = ['a', 'a!', 'a-b/c', 'a.b', 'a/b', 'a/b-c', 'a0', 'b/é', 'b/ﬀ', 'b/𐐀', 'c'];
      const inOrder = names.map((each) => `${base}/${each}`).sort((x, y) => Buffer.compare(text(x), text(y)));
      // What is a folder of a disk can't be a file too.
      const possible = inOrder.filter((path) => path !== `${base}/a`);
      for (const path of [...possible].reverse()) await store.putIfAbsent(path, text('x'));
      expect(await paths(store, `${base}/`)).toEqual(possible);
      expect(await paths(store, `${base}/a`)).toEqual(possible.filter((path) => path.startsWith(`${base}/a`)));
      expect(await paths(store, `${base}/a/`)).toEqual([`${base}/a/b`, `${base}/a/b-c`]);
      for (const [index, after] of possible.entries()) {
        expect(await paths(store, `${base}/`, after)).toEqual(possible.slice(index + 1));
      }
      expect(await paths(store, `${base}/`, `${base}/a/`)).toEqual(possible.slice(possible.indexOf(`${base}/a/b`)));
    });

    it('lists more than a page, sizes and times with it', async () => {
      const base = folder();
      const names = Array.from({ length: 1_100 }, (_, index) => `${base}/${String(index).padStart(10, '0')}.json`);
      for (let from = 0; from < names.length; from += 50)
        await Promise.all(names.slice(from, from + 50).map((path) => store.putIfAbsent(path, text('12345'))));
      const found = await listed(store, `${base}/`);
      expect(found.map(({ path }) => path)).toEqual(names);
      expect(new Set(found.map(({ size }) => size))).toEqual(new Set([5]));
      expect(Math.abs(found[0]!.modifiedAt.getTime() - Date.now())).toBeLessThan(3_600_000);
      expect(await paths(store, `${base}/`, names[1_050])).toEqual(names.slice(1_051));
      await store.delete(names);
      expect(await paths(store, `${base}/`)).toEqual([]);
    });

    it('deletes what is there and passes over the rest', async () => {
      const base = folder();
      await store.putIfAbsent(`${base}/x/one`, text('1'));
      await store.putIfAbsent(`${base}/x/two`, text('2'));
      await store.delete([`${base}/x/one`, `${base}/x/none`, `${base}/y/none`]);
      expect(await paths(store, `${base}/`)).toEqual([`${base}/x/two`]);
      await store.delete([]);
      await store.delete([`${base}/x/two`]);
      expect(await store.putIfAbsent(`${base}/x/one`, text('again'))).toBe(true);
    });

    it('puts into a folder that is emptied at the same time', async () => {
      const base = folder();
      const coming = async (name: string) => {
        for (let index = 0; index < 10; index++) {
          expect(await store.putIfAbsent(`${base}/deep/er/${name}`, text(name))).toBe(true);
          await store.delete([`${base}/deep/er/${name}`]);
        }
      };
      await Promise.all([coming('a'), coming('b'), coming('c')]);
      expect(await paths(store, `${base}/`)).toEqual([]);
    });

    it.each(['', '/a', 'a/', 'a//b', '../a', 'a/../b', './a', 'a/\n', '_longhaul/tmp/a', 'x'.repeat(1_025)])(
      'refuses the path %j',
      async (path) => {
        await expect((async () => store.putIfAbsent(path, text('x')))()).rejects.toThrow(
          'is not the path of an object',
        );
      },
    );

    it('sweeps what was left, and nothing that goes on', async () => {
      const [left, going] = [`${folder()}/left`, `${folder()}/going`];
      const abandoned = await store.create(left);
      await abandoned.write(randomBytes(LARGE));
      expect(await store.sweep(new Date(Date.now() - 3_600_000))).toBe(0);
      expect(await store.sweep(new Date(Date.now() + 3_600_000))).toBeGreaterThan(0);
      expect(await fixture.leftovers()).toEqual([]);
      await expect(abandoned.finish()).rejects.toMatchObject({ name: 'LonghaulError' });
      await abandoned[Symbol.asyncDispose]();
      await using writer = await store.create(going);
      await writer.write(randomBytes(LARGE));
      await store.sweep(new Date(Date.now() - 3_600_000));
      expect(await writer.finish()).toBe(LARGE);
    });

    it('passes its own probe, which leaves nothing', async () => {
      await probeStore(store, 'lake');
      expect(await paths(store, '_longhaul/')).toEqual([]);
    });
  });
}
