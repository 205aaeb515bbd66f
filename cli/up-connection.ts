import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where `tidemark up` keeps its state, in the directory it is started in. */
export const stateDirectory = '.tidemark';

export const connectionFile = join(stateDirectory, 'connection.json');

/** How other commands find a running `tidemark up`. */
export interface UpConnection {
  /** Process id of the `up`. */
  readonly pid: number;
  /** Password included. */
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  readonly taskQueue: string;
}

/** Readable for its owner only: it holds the database's password. */
export async function writeConnection(connection: UpConnection): Promise<void> {
  await rm(connectionFile, { force: true });
  await writeFile(connectionFile, `${JSON.stringify(connection, undefined, 2)}\n`, { mode: 0o600, flag: 'wx' });
}

export async function removeConnection(): Promise<void> {
  await rm(connectionFile, { force: true });
}
