import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, constants, createSecureServer, type IncomingHttpHeaders } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Stands before a Temporal server as a gateway of a cluster or of Temporal Cloud does: TLS, and a client certificate or an API key. */
export interface TemporalGateway extends AsyncDisposable {
  readonly address: string;
  readonly caFile: string;
  readonly clientCertFile: string;
  readonly clientKeyFile: string;
  /** Requests that were passed on. */
  readonly passed: () => number;
}

export interface GatewayOptions {
  /** Temporal's own address, without TLS. */
  readonly upstream: string;
  /** Where certificates are made. */
  readonly directory: string;
  /** Asked of every request; absent: a client certificate is required instead. */
  readonly apiKey?: string;
}

/** The server's certificate is for this name only. */
export const gatewayName = 'temporal.example';

export async function startTemporalGateway({ upstream, directory, apiKey }: GatewayOptions): Promise<TemporalGateway> {
  const file = (name: string) => join(directory, name);
  const openssl = (...args: readonly string[]) => run('openssl', [...args], { cwd: directory });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'];
  await openssl('req', '-x509', ...key, '-subj', '/CN=ca', '-keyout', 'ca.key', '-out', 'ca.pem');
  const signed = ['-x509', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-addext', 'basicConstraints=critical,CA:FALSE'];
  await openssl(
    'req',
    ...signed,
    ...key,
    '-subj',
    '/CN=server',
    '-addext',
    `subjectAltName=DNS:${gatewayName}`,
    '-keyout',
    'server.key',
    '-out',
    'server.pem',
  );
  await openssl('req', ...signed, ...key, '-subj', '/CN=client', '-keyout', 'client.key', '-out', 'client.pem');
  const [ca, cert, serverKey] = await Promise.all(['ca.pem', 'server.pem', 'server.key'].map((name) => readFile(file(name))));
  const upstreamSession = connect(`http://${upstream}`);
  upstreamSession.on('error', () => undefined);
  let passed = 0;
  const server = createSecureServer({
    ca,
    cert,
    key: serverKey,
    ...(apiKey === undefined ? { requestCert: true, rejectUnauthorized: true } : {}),
  } as object);
  server.on('session', (session) => session.on('error', () => undefined));
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    if (apiKey !== undefined && headers.authorization !== `Bearer ${apiKey}`) {
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '16', 'grpc-message': 'no valid API key' },
        { endStream: true },
      );
      return;
    }
    passed += 1;
    const onward = upstreamSession.request({ ...headers, ':authority': upstream, ':scheme': 'http' });
    let trailers: IncomingHttpHeaders = {};
    onward.on('error', () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
    onward.on('trailers', (given) => {
      trailers = given;
    });
    onward.on('response', (answer, flags) => {
      const endStream = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
      stream.respond(answer, { endStream, waitForTrailers: !endStream });
      if (!endStream) onward.pipe(stream);
    });
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    stream.on('close', () => onward.close(constants.NGHTTP2_CANCEL));
    stream.pipe(onward);
  });
  server.on('error', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    caFile: file('ca.pem'),
    clientCertFile: file('client.pem'),
    clientKeyFile: file('client.key'),
    passed: () => passed,
    async [Symbol.asyncDispose]() {
      server.close();
      upstreamSession.destroy();
    },
  };
}
