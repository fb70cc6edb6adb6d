import { createHash } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'vite';

/** As the sources name the module of a thread that they start: beside them, and as it is called in dist. */
const THREAD = /new URL\('(\.\/[\w-]*thread)\.js', import\.meta\.url\)/g;

/**
 * A thread is started by Node, which knows no TypeScript: what the sources start in one is made a single file of JavaScript, once a run and
 * only where a test imports it.
 */
export function bundledThreads(): Plugin {
  let folder: string;
  return {
    name: 'bundled-threads',
    enforce: 'pre',
    configResolved(config) {
      // Below node_modules, so that the file finds the packages that it imports.
      folder = join(config.cacheDir, 'threads');
    },
    async transform(code, id) {
      const names = new Set(Array.from(code.matchAll(THREAD), ([, name]) => name!));
      if (!id.endsWith('.ts') || names.size === 0) return undefined;
      const files = new Map<string, string>();
      for (const name of names) files.set(name, await bundle(join(dirname(id), `${name}.ts`), folder));
      return code.replaceAll(THREAD, (_, name: string) => `new URL(${JSON.stringify(files.get(name))})`);
    },
  };
}

/** Answers with the file's URL. It is called by what is in it, so that runs at the same time don't meet. */
async function bundle(module: string, folder: string): Promise<string> {
  const code = await bundled(module);
  const file = join(folder, `${createHash('sha256').update(code).digest('hex').slice(0, 24)}.mjs`);
  await mkdir(folder, { recursive: true });
  const whole = `${file}.${process.pid}`;
  await writeFile(whole, code);
  await rename(whole, file);
  return pathToFileURL(file).href;
}

async function bundled(module: string): Promise<string> {
  const built = await build({
    ...{ configFile: false, logLevel: 'warn', mode: 'test' },
    ssr: { external: true },
    build: { ssr: module, write: false, minify: false, target: 'node20' },
  });
  const [result] = [built].flat();
  if (result === undefined || !('output' in result)) throw new Error(`${module} was not bundled`);
  return result.output[0].code;
}
