/** The words and remedies that differ from one kind of directory to another in what people are told. */
export interface Dialect {
  /** What people call a server: `domain controller`. */
  readonly serverWord: string;
  /** Why a sign-in was refused, from the result code and the server's message; `undefined`: the message says nothing more. */
  readonly signInReason: (status: number, serverMessage: string) => string | undefined;
  /** A size, time or administrative limit was exceeded. */
  readonly limitRemedy: string;
  /** It refers to another server. */
  readonly referralRemedy: string;
  /** It lacks a control that the connector relies on. */
  readonly controls: { readonly lacks: string; readonly remedy: string };
  /** It gave a page without saying whether more follow. */
  readonly proxyRemedy: string;
}
