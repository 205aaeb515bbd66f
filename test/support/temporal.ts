import { randomBytes } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { inject } from 'vitest';
import { searchAttributes as workflowAttributes } from '../../workflows/search-attributes.ts';

/** The names of the search attributes that the workflows set. */
export const searchAttributes: readonly string[] = Object.values(workflowAttributes).map(({ name }) => name);

export interface TestTemporal extends AsyncDisposable {
  /** gRPC address of the test run's server. */
  readonly address: string;
  readonly namespace: 'default';
  readonly client: Client;
  /** A task queue that no other test file has: the server is shared. */
  readonly taskQueue: string;
  /** An integration id that no other test has. */
  integrationId(name: string): string;
  /** Path of the real Temporal CLI. */
  readonly cli: string;
}

/** Connects to the test run's Temporal server. */
export async function connectTemporal(): Promise<TestTemporal> {
  const address = inject('temporalAddress');
  const connection = await Connection.connect({ address });
  const suffix = randomBytes(4).toString('hex');
  return {
    address,
    namespace: 'default',
    client: new Client({ connection, namespace: 'default' }),
    taskQueue: `test-${suffix}`,
    integrationId: (name) => `${name}-${randomBytes(4).toString('hex')}`,
    cli: inject('temporalCli'),
    [Symbol.asyncDispose]: () => connection.close(),
  };
}
