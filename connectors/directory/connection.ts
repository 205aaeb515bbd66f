import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
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
  SearchRequest,
  type SearchResponse,
} from 'ldapts';
import { TidemarkFailure } from '../../model/failure.ts';
import { BerCursor, tags } from './ber.ts';
import type { Dialect } from './dialect.ts';
import { type Entry, readEntry, typeReader } from './entry.ts';
import { connectionFailure, requestFailure, resultCodes, signInFailure } from './failures.ts';
import { messageReader } from './message-reader.ts';
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
  search(search: Search, missing?: 'fail' | 'empty'): Promise<readonly Entry[]>;
  /**
   * Entries page by page, ended by an empty cookie and nothing else (RFC 2696 3): a page without entries may be followed by full ones. One
   * page is asked for ahead.
   * A limit or a referral fails with `ListingIncomplete`. A base that does not exist gives nothing if `missing` says so.
   */
  pages(search: Search, pageSize: number, missing?: 'fail' | 'empty'): AsyncGenerator<readonly Entry[], void>;
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
  const arriving = receiveEntries(internals(client));
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
  async function request(search: Search, paging: PagedResultsControl | undefined): Promise<Answer> {
    await pace?.();
    signal.throwIfAborted();
    if (dead !== undefined) throw connectionFailure(dialect, host, 'The connection to', dead);
    const messageId = internals(client)._nextMessageId();
    const entries: Entry[] = [];
    arriving.set(messageId, entries);
    try {
      const response = await internals(client)._send(
        new SearchRequest({
          messageId,
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
      return { response: response as SearchResponse, entries };
    } catch (error) {
      // What was lost is unknown after an error below LDAP, so this connection answers no more.
      dead = error;
      await close();
      signal.throwIfAborted();
      throw connectionFailure(dialect, host, `Reading ${search.what} from`, error);
    } finally {
      arriving.delete(messageId);
    }
  }

  return {
    host,
    async search(search, missing = 'fail') {
      const { response, entries } = await request(search, undefined);
      if (response.status === resultCodes.noSuchObject && missing === 'empty') return [];
      if (response.status !== resultCodes.success) throw requestFailure(dialect, host, search.what, response.status, response.errorMessage);
      return entries;
    },
    async *pages(search, pageSize, missing = 'fail') {
      const ask = (cookie?: Buffer): Promise<Answer> => {
        const asked = request(search, new PagedResultsControl({ critical: true, value: { size: pageSize, ...(cookie && { cookie }) } }));
        // A page that was asked for ahead may never be awaited.
        asked.catch(() => undefined);
        return asked;
      };
      let next: Promise<Answer> | undefined = ask();
      while (next !== undefined) {
        const page: Answer = await next;
        const { response, entries } = page;
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
        if (entries.length > 0) yield entries;
      }
    },
    [Symbol.asyncDispose]: close,
  };
}

/** What a search was answered with. */
interface Answer {
  readonly response: SearchResponse;
  readonly entries: readonly Entry[];
}

/**
 * Reads the entries of answers in the library's place, which makes a Buffer and a text of every value (docs/decisions/0015); it gets all other
 * messages. Entries go to the list under the message id of their search. What is no message cuts the connection: it can't be known what was lost.
 */
function receiveEntries(client: ClientInternals): Map<number, Entry[]> {
  const arriving = new Map<number, Entry[]>();
  const { messageParser } = client;
  const typeOf = typeReader();
  const read = messageReader((bytes, start, end) => {
    const cursor = new BerCursor(bytes, start);
    cursor.enter(tags.sequence, end);
    const idEnd = cursor.enter(tags.integer, end);
    const messageId = bytes.readIntBE(cursor.offset, idEnd - cursor.offset);
    cursor.offset = idEnd;
    if (bytes[idEnd] === tags.searchResultEntry) arriving.get(messageId)?.push(readEntry(cursor, end, typeOf));
    else messageParser.read(bytes.subarray(start, end), client.messageDetailsByMessageId);
  });
  client.messageParser = {
    read(data) {
      try {
        read(data);
      } catch (error) {
        client.socket?.destroy(error as Error);
      }
    },
  };
  return arriving;
}

/** The parts of ldapts 9.2.0 that its own paging hides: it stops at an empty page although the server has more. */
interface ClientInternals {
  /** Gets all that comes. */
  messageParser: { read(data: Buffer, requests: unknown): void };
  readonly messageDetailsByMessageId: unknown;
  readonly socket?: Socket;
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
