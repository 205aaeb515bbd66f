import { z } from 'zod';
import type { ConnectorSchemas } from '../../model/config/load.ts';
import { secretReference } from '../../model/config/secrets.ts';

/** The schemas of a small kind of source, for rules that hold for every connector. */
export const exampleConnector: ConnectorSchemas = {
  settings: z.strictObject({
    urls: z.array(z.string()).min(1).describe('Addresses of the servers.'),
    password: secretReference.describe('Where the password is.'),
    tls: z.boolean().default(true).describe('Encrypt the connection.'),
  }),
  streamSettings: z.strictObject({
    filter: z
      .string()
      .superRefine((filter, context) => {
        if (!filter.startsWith('(')) {
          context.addIssue({ code: 'custom', message: 'not a filter', params: { remedy: 'Begin with a parenthesis.' } });
        }
      })
      .optional()
      .describe('Which objects.'),
  }),
  streams: () => [
    { name: 'users', mapping: { userName: 'source.uid', email: 'source.mail' } },
    { name: 'groups', mapping: { displayName: 'source.cn' } },
  ],
};

export const exampleConnectors: ReadonlyMap<string, ConnectorSchemas> = new Map([['example', exampleConnector]]);
