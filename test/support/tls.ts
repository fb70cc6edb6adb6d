import { execFile } from 'node:child_process';
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { postgresAccount } from '../../src/devstack/account.js';
import { startOwnPostgres } from './postgres.js';

const run = promisify(execFile);

/** A Postgres server with `ssl = on`, and the files that its clients need. */
export interface TlsPostgres {
  /** Superuser's URL without TLS. Its host is 127.0.0.1, and so says the certificate. */
  readonly url: string;
  /** PEM of the authority that signed the server's certificate. */
  readonly ca: string;
  /** PEM of an authority that has nothing to do with it. */
  readonly otherCa: string;
  readonly remove: () => Promise<void>;
}

/** Why there can be none on this machine, undefined if there can. */
export async function whyNoOpenssl(): Promise<string | undefined> {
  return run('openssl', ['version']).then(
    () => undefined,
    () => 'there is no openssl on PATH to make certificates with',
  );
}

/** Undefined when this build of Postgres was made without TLS. */
export async function startTlsPostgres(): Promise<TlsPostgres | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-tls-'));
  await chmod(folder, 0o755); // Run by root, Postgres runs as nobody and must get in.
  const [ca, otherCa] = [await authority(folder, 'ca'), await authority(folder, 'other')];
  const { cert, key } = await serverCertificate(folder, 'ca');
  const settings = { ssl: 'on', ssl_cert_file: cert, ssl_key_file: key };
  try {
    const { server, remove } = await startOwnPostgres({ settings });
    return {
      ...{ url: server.url(), ca, otherCa },
      remove: async () => {
        await remove();
        await rm(folder, { recursive: true });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true });
    if (String(error).includes('SSL is not supported by this build')) return undefined;
    throw error;
  }
}

async function authority(folder: string, name: string): Promise<string> {
  const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
  const subject = ['-subj', `/CN=longhaul test ${name}`, '-days', '2'];
  await run('openssl', ['req', '-x509', ...NEW_KEY, '-keyout', key, '-out', cert, ...subject]);
  return cert;
}

const NEW_KEY = ['-newkey', 'rsa:2048', '-nodes'];

/** For 127.0.0.1, and for no name. Postgres wants the key to be its own and nobody else's to read. */
async function serverCertificate(folder: string, ca: string): Promise<{ cert: string; key: string }> {
  const file = (name: string) => join(folder, name);
  const [cert, key, request, names] = [file('server.pem'), file('server.key'), file('server.csr'), file('names')];
  await writeFile(names, 'subjectAltName=IP:127.0.0.1');
  await run('openssl', ['req', ...NEW_KEY, '-keyout', key, '-out', request, '-subj', '/CN=127.0.0.1']);
  const signer = ['-CA', file(`${ca}.pem`), '-CAkey', file(`${ca}.key`), '-CAcreateserial'];
  await run('openssl', ['x509', '-req', '-in', request, ...signer, '-out', cert, '-days', '2', '-extfile', names]);
  await chmod(key, 0o600);
  const account = await postgresAccount();
  if (account) await chown(key, account.uid, account.gid);
  return { cert, key };
}
