import { execFile } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * Makes an authority of its own (`ca.pem`) and the certificate of a test's server (`server.pem`, `server.key`), which names host and
 * address, in a directory. Needs the openssl command.
 */
export async function makeCertificates(directory: string, hostName: string, address: string): Promise<void> {
  const file = (name: string): string => join(directory, name);
  const newKey = ['-newkey', 'rsa:2048', '-nodes'];
  await run('openssl', [
    'req',
    '-x509',
    ...newKey,
    '-keyout',
    file('ca.key'),
    '-out',
    file('ca.pem'),
    '-days',
    '30',
    '-subj',
    '/CN=Tidemark test authority',
  ]);
  await run('openssl', ['req', ...newKey, '-keyout', file('server.key'), '-out', file('server.csr'), '-subj', `/CN=${hostName}`]);
  await writeFile(file('server.ext'), `subjectAltName=DNS:${hostName},IP:${address}\n`);
  await run('openssl', [
    'x509',
    '-req',
    '-in',
    file('server.csr'),
    '-CA',
    file('ca.pem'),
    '-CAkey',
    file('ca.key'),
    '-CAcreateserial',
    '-days',
    '30',
    '-extfile',
    file('server.ext'),
    '-out',
    file('server.pem'),
  ]);
  await chmod(file('server.key'), 0o600);
}
