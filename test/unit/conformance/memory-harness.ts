import type { Connector } from '../../../connectors/connector.ts';
import type { ConformanceHarness, ConformanceSource } from '../../conformance/index.ts';
import { memoryConnector } from './memory-connector.ts';
import { MemoryServer } from './memory-server.ts';

/** A source in this process that can do everything on command. `wrap` may break its connector. */
export function memoryHarness(wrap: (connector: Connector) => Connector = (connector) => connector): ConformanceHarness {
  const servers = new Map<string, MemoryServer>();
  return {
    connector: wrap(memoryConnector(servers)),
    pageSize: 3,
    async newSource() {
      const server = new MemoryServer();
      servers.set(server.id, server);
      return memorySource(server);
    },
  };
}

function memorySource(server: MemoryServer): ConformanceSource {
  const setScope = async (id: string, inScope: boolean) => server.put(id, (entry) => ({ ...entry, inScope }));
  return {
    settings: { server: server.id },
    streams: { users: {}, groups: {} },
    secret: async () => '',
    stream: 'users',
    textAttribute: 'text',
    create: async ({ name, text }) => server.create({ class: 'user', name, text, members: [] }),
    change: async (id, text) => server.put(id, (entry) => ({ ...entry, text })),
    delete: async (id) => server.remove(id),
    rename: async (id, name) => server.put(id, (entry) => ({ ...entry, name })),
    leaveScope: (id) => setScope(id, false),
    returnToScope: (id) => setScope(id, true),
    restore: async (id) => server.put(id, (entry) => ({ ...entry, deleted: false })),
    async setValues(id, count) {
      const values = Array.from({ length: count }, (_, index) => `value ${index}`);
      server.put(id, (entry) => ({ ...entry, values }));
      return { attribute: 'values', values };
    },
    groups: {
      stream: 'groups',
      link: 'member',
      create: async ({ name, members }) => server.create({ class: 'group', name, text: null, members }),
      change: async (id, text) => server.put(id, (entry) => ({ ...entry, text })),
      delete: async (id) => server.remove(id),
      addMember: async (group, member) => server.put(group, (entry) => ({ ...entry, members: [...new Set([...entry.members, member])] })),
      removeMember: async (group, member) =>
        server.put(group, (entry) => ({ ...entry, members: entry.members.filter((id) => id !== member) })),
    },
    repeat: async (id) => {
      server.repeated = id;
    },
    emptyPage: async (ids) => {
      server.hidden = new Set(ids);
    },
    beforeRequest: (handler) => {
      server.beforeRequest = handler;
    },
    cut: async () => {
      server.generation += 1;
    },
    limitRate: async () => {
      server.busy = true;
    },
    expireSignIn: async () => {
      server.signedOut = true;
    },
    loseRights: async () => {
      server.seesAll = false;
    },
    expired: (marker) => ({ ...marker, position: String(server.remembersFrom - 1) }),
    ahead: (marker) => ({ ...marker, position: String(server.position + 1_000) }),
    strangerId: () => crypto.randomUUID(),
    [Symbol.asyncDispose]: async () => undefined,
  };
}
