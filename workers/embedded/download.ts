import { type IncomingMessage, request } from 'node:http';
import { Agent, request as secureRequest } from 'node:https';
import { getCACertificates } from 'node:tls';

export interface DownloadOptions {
  /** Without an answer's first byte, or between two of its bytes. */
  readonly idleLimitMs: number;
  /** More than this is refused. */
  readonly maxBytes: number;
}

/**
 * The body behind an address, redirects followed (from https to https only). Trusts what the machine trusts, and goes through the proxy
 * that HTTPS_PROXY names, because companies put their own certificate authority and proxy in front of the internet.
 */
export async function download(address: string, options: DownloadOptions): Promise<Buffer> {
  let url = new URL(address);
  for (let hop = 0; hop < 5; hop += 1) {
    const response = await get(url, options.idleLimitMs);
    const location = response.headers.location;
    if (response.statusCode !== undefined && response.statusCode >= 300 && response.statusCode < 400 && location !== undefined) {
      response.resume();
      const next = new URL(location, url);
      if (url.protocol === 'https:' && next.protocol !== 'https:') throw new Error(`${url.host} redirects to an unprotected address`);
      url = next;
      continue;
    }
    if (response.statusCode !== 200) {
      response.resume();
      throw new Error(`${url.host} answered ${response.statusCode}`);
    }
    return await body(response, url, options.maxBytes);
  }
  throw new Error(`${url.host} redirects without end`);
}

function get(url: URL, idleLimitMs: number): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing =
      url.protocol === 'https:'
        ? secureRequest(url, { agent: new Agent({ ca: trustedCertificates(), proxyEnv: process.env }) })
        : request(url);
    outgoing.setTimeout(idleLimitMs, () => outgoing.destroy(new Error(`${url.host} gave no answer for ${idleLimitMs / 1_000} s`)));
    outgoing.once('response', resolve);
    outgoing.once('error', reject);
    outgoing.end();
  });
}

function trustedCertificates(): string[] {
  return [...new Set([...getCACertificates('default'), ...getCACertificates('system')])];
}

async function body(response: IncomingMessage, url: URL, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error(`${url.host} sent more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
