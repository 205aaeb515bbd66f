import { readFile } from 'node:fs/promises';
import type { ConnectionOptions } from 'node:tls';
import {
  BindRequest,
  type BindResponse,
  Client,
  type Control,
  type Filter,
  type Message,
  PagedResultsControl,
  PresenceFilter,
  type SearchEntry,
  SearchRequest,
  type SearchResponse,
} from 'ldapts';
import { TidemarkFailure } from '../../model/failure.ts';
import type { Dialect } from './dialect.ts';
import { connectionFailure, requestFailure, resultCodes, signInFailure } from './failures.ts';
import { type TransportSettings, transportOf } from './transport.ts';

/** One search, as the directory understands it. */
export interface Search {
  readonly base: string;
  readonly scope: 'base' | 'one' | 'sub';
  readonly filter?: Filter;
  readonly attributes: readonly string[];
  readonly controls?: readonly Control[];
  /** What is read, for error messages; no personal data. */
  readonly what: string;
}

/** How to connect and whom to sign in as: the part of the settings that every kind of directory has. */
export interface ConnectionSettings extends TransportSettings {
  readonly bindDn: string;
  readonly caFile?: string | undefined;
  readonly connectTimeout: number;
  readonly requestTimeout: number;
}

/** One signed-in connection. It never reconnects: after any error but a result code it is dead, and every later request fails. */
export interface DirectoryConnection extends AsyncDisposable {
  /** Host and port, for error messages. */
  readonly host: string;
  /** All entries of a small result. A base that does not exist gives an empty list if `missing` says so. */
  search(search: Search, missing?: 'fail' | 'empty'): Promise<readonly SearchEntry[]>;
  /**
   * Entries page by page, ended by an empty cookie and nothing else (RFC 2696 3): a page without entries may be followed by full ones. One
   * page is asked for ahead.
   * A limit or a referral fails with `ListingIncomplete`. A base that does not exist gives nothing if `missing` says so.
   */
  pages(search: Search, pageSize: number, missing?: 'fail' | 'empty'): AsyncGenerator<readonly SearchEntry[], void>;
}

/** Connects, protects the connection as the settings say, and signs in. Fails with `SourceUnavailable`, `InvalidConfiguration` or `AuthenticationFailed`. */
export async function connect(
  url: string,
  settings: ConnectionSettings,
  password: string,
  signal: AbortSignal,
  dialect: Dialect,
  pace?: () => Promise<void>,
): Promise<DirectoryConnection> {
  signal.throwIfAborted();
  const host = new URL(url).host;
  const transport = transportOf(url, settings);
  const tls: ConnectionOptions = { ...(settings.caFile === undefined ? {} : { ca: await readCertificates(settings.caFile) }) };
  const client = new Client({
    url,
    connectTimeout: settings.connectTimeout,
    timeout: settings.requestTimeout,
    // With an ldap:// address ldapts takes these options for a wish for implicit TLS.
    ...(transport === 'ldaps' ? { tlsOptions: tls } : {}),
  });
  // Closing the socket is the only way to cut a request short: ldapts has no public abandon.
  let refuse: (reason: unknown) => void = () => undefined;
  // A socket that is destroyed while it connects leaves ldapts waiting for ever.
  const aborted = new Promise<never>((_, reject) => {
    refuse = reject;
  });
  aborted.catch(() => undefined);
  const onAbort = (): void => {
    refuse(signal.reason);
    client.unbind().catch(() => undefined);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  const close = async (): Promise<void> => {
    signal.removeEventListener('abort', onAbort);
    await client.unbind().catch(() => undefined);
  };

  const signIn = async (): Promise<void> => {
    // ldapts connects with the first public request; StartTLS is one, and so is this empty one on the way to a simple bind.
    await (transport === 'start-tls' ? client.startTLS({ ...tls, ...serverName(url) }) : internals(client)._connect());
    // RFC 4511 4.2: the version-3 simple bind. Sent as a bare message, because the result code's text says why a sign-in is refused.
    const response = await internals(client)._send(
      new BindRequest({ messageId: internals(client)._nextMessageId(), dn: settings.bindDn, password }),
    );
    const { status, errorMessage } = response as BindResponse;
    if (status !== resultCodes.success) throw signInFailure(dialect, host, status, errorMessage);
  };
  try {
    await Promise.race([signIn(), aborted]);
  } catch (error) {
    await close();
    signal.throwIfAborted();
    throw error instanceof TidemarkFailure ? error : connectionFailure(dialect, host, 'Connecting to', error);
  }

  let dead: unknown;
  async function request(search: Search, paging: PagedResultsControl | undefined): Promise<SearchResponse> {
    await pace?.();
    signal.throwIfAborted();
    if (dead !== undefined) throw connectionFailure(dialect, host, 'The connection to', dead);
    try {
      const response = await internals(client)._send(
        new SearchRequest({
          messageId: internals(client)._nextMessageId(),
          baseDN: search.base,
          scope: search.scope,
          filter: search.filter ?? new PresenceFilter({ attribute: 'objectClass' }),
          attributes: [...search.attributes],
          // ldapts asks the server to stop after 10 s unless told otherwise.
          timeLimit: 0,
          sizeLimit: 0,
          controls: [...(search.controls ?? []), ...(paging ? [paging] : [])],
        }),
      );
      return response as SearchResponse;
    } catch (error) {
      // What was lost is unknown after an error below LDAP, so this connection answers no more.
      dead = error;
      await close();
      signal.throwIfAborted();
      throw connectionFailure(dialect, host, `Reading ${search.what} from`, error);
    }
  }

  return {
    host,
    async search(search, missing = 'fail') {
      const response = await request(search, undefined);
      if (response.status === resultCodes.noSuchObject && missing === 'empty') return [];
      if (response.status !== resultCodes.success) throw requestFailure(dialect, host, search.what, response.status, response.errorMessage);
      return response.searchEntries;
    },
    async *pages(search, pageSize, missing = 'fail') {
      const ask = (cookie?: Buffer): Promise<SearchResponse> => {
        const asked = request(search, new PagedResultsControl({ critical: true, value: { size: pageSize, ...(cookie && { cookie }) } }));
        // A page that was asked for ahead may never be awaited.
        asked.catch(() => undefined);
        return asked;
      };
      let next: Promise<SearchResponse> | undefined = ask();
      while (next !== undefined) {
        const response: SearchResponse = await next;
        if (response.status === resultCodes.noSuchObject && missing === 'empty') return;
        if (response.status !== resultCodes.success)
          throw requestFailure(dialect, host, search.what, response.status, response.errorMessage);
        if (response.searchReferences.length > 0) throw requestFailure(dialect, host, search.what, resultCodes.referral, '');
        const answer = response.controls?.find((control) => control instanceof PagedResultsControl);
        if (answer?.value === undefined) {
          throw new TidemarkFailure('ListingIncomplete', `${host} gave ${search.what} without saying whether that was all`, {
            remedy: dialect.proxyRemedy,
          });
        }
        // The server works on the next page while this one is used.
        const { cookie } = answer.value;
        next = cookie !== undefined && cookie.length > 0 ? ask(cookie) : undefined;
        if (response.searchEntries.length > 0) yield response.searchEntries;
      }
    },
    [Symbol.asyncDispose]: close,
  };
}

/** The parts of ldapts 9.2.0 that its own paging hides: it stops at an empty page although the server has more. */
interface ClientInternals {
  _connect(): Promise<void> | void;
  _send(message: Message): Promise<unknown>;
  _nextMessageId(): number;
}

function internals(client: Client): ClientInternals {
  return client as unknown as ClientInternals;
}

/** Host name for SNI and the certificate's check; an IP address is checked against the certificate without SNI (RFC 6066 3). */
function serverName(url: string): ConnectionOptions {
  return { host: new URL(url).hostname.replaceAll(/^\[|\]$/g, '') };
}

async function readCertificates(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new TidemarkFailure(
      'InvalidConfiguration',
      `caFile ${file} can not be read`,
      { remedy: 'Name a PEM file that the worker may read.' },
      error,
    );
  }
}
