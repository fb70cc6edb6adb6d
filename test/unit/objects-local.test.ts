import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { localError } from '../../src/connectors/objects/local-errors.js';
import { openLocalStore } from '../../src/connectors/objects/local.js';
import type { OpenStore } from '../../src/connectors/objects/store.js';
import { objectStoreContract, type StoreFixture } from '../contract/object-store-suite.js';
import { quiet, storeAt } from '../support/store.js';
import { startStoreChild } from '../support/store-child.js';

objectStoreContract('a folder', async (): Promise<StoreFixture> => {
  const path = await mkdtemp(join(tmpdir(), 'longhaul-store-'));
  return {
    open: ({ signal } = {}) => storeAt({ kind: 'local', path: join(path, 'lake') }, signal),
    leftovers: () => readdir(join(path, 'lake', '_longhaul', 'tmp')),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true }),
  };
});

const text = (content: string): Buffer => Buffer.from(content);

describe('a folder', () => {
  let root: string;
  let store: OpenStore;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'longhaul-store-'));
    store = storeAt({ kind: 'local', path: root });
  });
  afterEach(() => rm(root, { recursive: true }));

  const everything = async (): Promise<string[]> => {
    const found: string[] = [];
    for await (const page of store.list('')) found.push(...page.map(({ path }) => path));
    return found;
  };

  it('shows nothing of a process that was killed in mid-create, and sweeps it when it is old', async () => {
    await using child = await startStoreChild('create', root, 'table/part-0');
    await child.kill();
    expect(await everything()).toEqual([]);
    expect(await store.head('table/part-0')).toBeUndefined();
    const [left, ...others] = await readdir(join(root, '_longhaul', 'tmp'));
    expect(others).toEqual([]);
    expect(await store.sweep(new Date(Date.now() - 60_000))).toBe(0);
    await utimes(join(root, '_longhaul', 'tmp', left!), 1, 1);
    expect(await store.sweep(new Date(Date.now() - 60_000))).toBe(1);
    expect(await readdir(join(root, '_longhaul', 'tmp'))).toEqual([]);
  });

  it('lets nobody finish an object where there is one', async () => {
    await store.putIfAbsent('a', text('mine'));
    await using writer = await store.create('a');
    await writer.write(text('theirs'));
    await expect(writer.finish()).rejects.toMatchObject({ code: 'Conflict' });
    expect(await readFile(join(root, 'a'), 'utf8')).toBe('mine');
  });

  it('waits for a lock whose holder is frozen, and names it', async () => {
    await store.putIfAbsent('a', text('one'));
    const { tag } = (await store.head('a'))!;
    await using child = await startStoreChild('lock', root, 'a');
    process.kill(child.pid, 'SIGSTOP');
    const signal = new AbortController().signal;
    const impatient = openLocalStore(
      { kind: 'local', path: root },
      { name: 'lake', signal, log: quiet, lockPatience: 200 },
    );
    const refused = expect(impatient.replace('a', text('two'), tag)).rejects;
    await refused.toMatchObject({
      code: 'LockTimeout',
      message: expect.stringContaining(`process ${child.pid} `) as string,
    });
    expect(await readFile(join(root, 'a'), 'utf8')).toBe('one');
    await child.kill();
    expect(await impatient.replace('a', text('two'), tag)).toBe(true);
  });

  it('lets one of many succeed a holder that was killed', async () => {
    await store.putIfAbsent('a', text('one'));
    const { tag } = (await store.head('a'))!;
    await using child = await startStoreChild('lock', root, 'a');
    await child.kill();
    const replaced = await Promise.all(
      Array.from({ length: 12 }, (_, index) => store.replace('a', text(`two ${index}`), tag)),
    );
    expect(replaced.filter(Boolean)).toHaveLength(1);
    expect(await readFile(join(root, 'a'), 'utf8')).toBe(`two ${replaced.indexOf(true)}`);
    expect(await readdir(join(root, '_longhaul', 'tmp'))).toEqual([]);
  });

  it('tells a holder from a later process of the same number', async () => {
    await store.putIfAbsent('a', text('one'));
    const { tag } = (await store.head('a'))!;
    await using child = await startStoreChild('lock', root, 'a');
    const folder = join(root, '_longhaul', 'tmp');
    const lock = (await readdir(folder)).find((name) => name.startsWith('lock-'))!;
    const holder = JSON.parse(await readFile(join(folder, lock), 'utf8')) as object;
    await child.kill();
    await writeFile(join(folder, lock), JSON.stringify({ ...holder, pid: process.pid }));
    expect(await store.replace('a', text('two'), tag)).toBe(true);
  });

  it('gives a replacement a later time than what it replaces, though clocks are coarse and set back', async () => {
    await store.putIfAbsent('a', text('one'));
    const ahead = new Date(Date.now() + 3_600_000);
    await utimes(join(root, 'a'), ahead, ahead);
    const before = (await store.head('a'))!;
    expect(await store.replace('a', text('two'), before.tag)).toBe(true);
    const after = (await store.head('a'))!;
    expect(after.modifiedAt.getTime()).toBeGreaterThan(before.modifiedAt.getTime());
  });

  it('lists what links lead to, and not what leads nowhere', async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), 'longhaul-store-'));
    await writeFile(join(elsewhere, 'b'), 'x');
    await mkdir(join(root, 'a'));
    await symlink(elsewhere, join(root, 'a', 'linked'));
    await symlink(join(elsewhere, 'none'), join(root, 'a', 'broken'));
    expect(await everything()).toEqual(['a/linked/b']);
    await rm(elsewhere, { recursive: true });
  });

  it.runIf(existsSync('/proc/self'))('gives up where no folder can be made', async () => {
    const nowhere = storeAt({ kind: 'local', path: '/proc/longhaul/lake' });
    await expect(nowhere.putIfAbsent('a', text('a'))).rejects.toThrow('the system answered ENOENT to mkdir');
  });

  it('removes the folders that it empties', async () => {
    await store.putIfAbsent('a/b/c/d', text('x'));
    await store.putIfAbsent('a/e', text('x'));
    await store.delete(['a/b/c/d']);
    expect(await readdir(join(root, 'a'))).toEqual(['e']);
  });

  it.each([
    ['ENOSPC', 'write', 'ServerFull'],
    ['EACCES', 'open', 'PermissionDenied'],
    ['EROFS', 'mkdir', 'PermissionDenied'],
    ['ENOTDIR', 'mkdir', 'ServerUnsuitable'],
    ['EPERM', 'link', 'ServerUnsuitable'],
    ['ENOTSUP', 'link', 'ServerUnsuitable'],
    ['EIO', 'fsync', 'ConnectionFailed'],
    ['ENAMETOOLONG', 'open', 'DataRejected'],
    ['EMFILE', 'open', 'Unknown'],
  ])('explains %s of %s as %s, without values', (code, syscall, expected) => {
    const given = Object.assign(new Error(`${code}: something, ${syscall} '/lake/city=Paris/a'`), { code, syscall });
    const error = localError(given, 'lake', 'writing', 'orders/city=Paris/a');
    expect(error.code).toBe(expected);
    expect(error.message).toMatch(/^Connection lake: writing orders\/city=…\/a: /);
    expect(error.message).not.toContain('Paris');
  });
});
