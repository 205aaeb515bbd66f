/** The settings that decide how a connection is protected. */
export interface TransportSettings {
  readonly startTls?: boolean | undefined;
  readonly allowPlaintext: boolean;
}

/** `ldaps`: TLS from the first byte. `start-tls`: upgraded before sign-in (RFC 4511 4.14). `plaintext`: only where it was allowed in so many words. */
export type Transport = 'ldaps' | 'start-tls' | 'plaintext';

export function transportOf(url: string, settings: TransportSettings): Transport {
  if (url.startsWith('ldaps:')) return 'ldaps';
  return (settings.startTls ?? !settings.allowPlaintext) ? 'start-tls' : 'plaintext';
}

/** Why this address must not be used with these settings, or `undefined`. */
export function transportProblem(
  url: string,
  settings: TransportSettings,
): { readonly message: string; readonly remedy: string } | undefined {
  if (transportOf(url, settings) !== 'plaintext' || settings.allowPlaintext) return undefined;
  return {
    message: `${url} without StartTLS would send the password and all data unencrypted`,
    remedy: 'Use an ldaps:// address, or remove startTls: false; for tests in a closed network set allowPlaintext: true.',
  };
}
