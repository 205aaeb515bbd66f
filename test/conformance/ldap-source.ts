import { type BerWriter, type Change, type Client, Control, ResultCodeError } from 'ldapts';
import { changePositionText, parseChangePosition } from '../../connectors/ldap/change-number.ts';
import { csnSetText, parseCsnSet } from '../../connectors/ldap/csn.ts';
import { ldap } from '../../connectors/ldap/index.ts';
import { add, hidden, rdn, remove, replace } from '../support/directory-edits.ts';
import { type DirectoryProxy, startDirectoryProxy } from '../support/directory-proxy.ts';
import { startDirsrv, targets } from '../support/dirsrv.ts';
import { type SlapdServer, startSlapd } from '../support/slapd.ts';
import { type Ability, type ConformanceHarness, type ConformanceSource, notShown } from './index.ts';

/** A directory server for the kit; each of its sources is an OU. */
export interface LdapHarness extends ConformanceHarness, AsyncDisposable {}

/** Result codes (RFC 4511 A.1) of a member that is added twice, or removed without being one. */
const alreadySo: readonly number[] = [16, 20];

/** What the kit needs of a product, beyond what all directory servers do alike. */
interface Directory {
  readonly server: Pick<SlapdServer, 'suffix' | 'readerDn' | 'readerPassword' | 'address' | 'port'>;
  /** Signed in as the root DN, past the proxy. */
  readonly client: Client;
  readonly settings: Readonly<Record<string, unknown>>;
  /** Puts an entry back under its entryUUID. */
  readonly restore: Ability<(dn: string, attributes: Record<string, string>) => Promise<void>>;
  /** Lets the account read the log of changes, or not. */
  readonly letReadLog: (may: boolean) => Promise<void>;
  readonly expired: (position: string) => string;
  readonly ahead: (position: string) => string;
}

/** Starts OpenLDAP with its access log, and a proxy before it. The connector signs in as an ordinary account. */
export async function startLdap(): Promise<LdapHarness> {
  await using undo = new AsyncDisposableStack();
  const server = undo.use(await startSlapd());
  const client = await server.client();
  undo.defer(() => client.unbind());
  const config = await server.client('config');
  undo.defer(() => config.unbind());
  return await harnessOf(undo.move(), {
    server,
    client,
    settings: {},
    // As ldapmodify -e relax puts an entry back from a backup.
    restore: (dn, attributes) => client.add(dn, attributes, new RelaxRules()),
    letReadLog: (may) =>
      config.modify('olcDatabase={1}mdb,cn=config', [
        replace('olcAccess', may ? `to * by dn.exact="${server.readerDn}" read` : 'to * by * none'),
      ]),
    expired: (position) => movedCsns(position, -1),
    ahead: (position) => movedCsns(position, 1),
  });
}

/** Starts 389 Directory Server with its retro changelog, and a proxy before it. The connector signs in as an ordinary account. */
export async function startLdap389(): Promise<LdapHarness> {
  await using undo = new AsyncDisposableStack();
  const server = undo.use(await startDirsrv());
  const client = await server.client();
  undo.defer(() => client.unbind());
  const moved = (text: string, by: bigint): string => {
    const position = parseChangePosition(text);
    if (position === undefined) throw new Error(`${text} is no position`);
    return changePositionText({ ...position, number: position.number + by });
  };
  return await harnessOf(undo.move(), {
    server,
    client,
    settings: { marker: 'changeNumber' },
    restore: notShown('389 Directory Server gives an entry that is added again another entryUUID'),
    letReadLog: (may) => server.letRead('cn=changelog', may ? targets.log : undefined),
    expired: (position) => moved(position, -1n),
    ahead: (position) => moved(position, 1_000_000n),
  });
}

async function harnessOf(undo: AsyncDisposableStack, directory: Directory): Promise<LdapHarness> {
  await using starting = undo;
  const proxy = starting.use(await startDirectoryProxy(directory.server));
  const owned = starting.move();
  let number = 0;
  return {
    connector: ldap,
    pageSize: 4,
    newSource: () => organizationalUnit(directory, proxy, ++number),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface Entry {
  readonly name: string;
  readonly parentDn: string;
  readonly hidden: boolean;
}

/** The relax rules control (draft-zeilenga-ldap-relax): an entry may be added with an entryUUID. */
class RelaxRules extends Control {
  constructor() {
    super('1.3.6.1.4.1.4203.666.5.12', { critical: true });
  }

  protected override writeControl(_: BerWriter): void {}
}

/** An empty OU that the connector reads, and one beside it that it does not. */
async function organizationalUnit(directory: Directory, proxy: DirectoryProxy, number: number): Promise<ConformanceSource> {
  const { server, client, restore } = directory;
  const top = `ou=Kit ${number},${server.suffix}`;
  const [inside, outside] = [`ou=In,${top}`, `ou=Out,${top}`];
  for (const dn of [top, inside, outside]) await client.add(dn, { objectClass: 'organizationalUnit' });
  const entries = new Map<string, Entry>();
  const lastMembers = `cn=nobody,${server.suffix}`;
  // The server and the account serve all sources.
  const giveBack = new AsyncDisposableStack();
  let beforeRequest: (() => Promise<void>) | undefined;
  let beforePage: (() => Promise<void>) | undefined;
  proxy.beforeSearch = async (_, paged) => {
    if (paged) await beforePage?.();
    await beforeRequest?.();
  };

  const entryOf = (id: string): Entry => {
    const entry = entries.get(id);
    if (entry === undefined) throw new Error(`The kit knows no ${id}`);
    return entry;
  };
  const dnOf = (id: string): string => `${rdn('CN', entryOf(id).name)},${entryOf(id).parentDn}`;
  const modify = (id: string, ...changes: readonly Change[]): Promise<void> => client.modify(dnOf(id), [...changes]);

  async function create(name: string, attributes: Record<string, string | string[]>): Promise<string> {
    const dn = `${rdn('CN', name)},${inside}`;
    await client.add(dn, attributes);
    const { searchEntries } = await client.search(dn, { scope: 'base', attributes: ['entryUUID'], timeLimit: 0 });
    const id = String(searchEntries[0]?.entryUUID);
    entries.set(id, { name, parentDn: inside, hidden: false });
    return id;
  }
  async function move(id: string, change: Partial<Entry>): Promise<void> {
    const from = dnOf(id);
    const entry = { ...entryOf(id), ...change };
    await client.modifyDN(from, `${rdn('CN', entry.name)},${entry.parentDn}`);
    entries.set(id, entry);
  }
  async function hide(id: string, isHidden: boolean): Promise<void> {
    await modify(id, replace('employeeType', ...(isHidden ? [hidden.filter] : [])));
    entries.set(id, { ...entryOf(id), hidden: isHidden });
  }
  async function unlessAlreadySo(work: Promise<void>): Promise<void> {
    await work.catch((error: unknown) => {
      if (!(error instanceof ResultCodeError) || !alreadySo.includes(error.code)) throw error;
    });
  }

  return {
    settings: {
      urls: [proxy.url],
      allowPlaintext: true,
      bindDn: server.readerDn,
      bindPassword: { env: 'PASSWORD' },
      baseDn: inside,
      ...directory.settings,
    },
    streams: {
      users: { filter: `(&(objectClass=inetOrgPerson)(!(employeeType=${hidden.filter})))`, attributes: ['labeledURI'] },
      groups: {},
    },
    secret: () => Promise.resolve(server.readerPassword),
    stream: 'users',
    textAttribute: 'displayName',
    create: ({ name, text }) => create(name, { objectClass: 'inetOrgPerson', sn: 'Kit', displayName: text }),
    change: (id, text) => modify(id, replace('displayName', ...(text === null ? [] : [text]))),
    delete: (id) => client.del(dnOf(id)),
    rename: (id, name) => move(id, { name }),
    // By turns out of the base and out of the filter.
    leaveScope: (id) => (Number.parseInt(id.slice(0, 8), 16) % 2 === 0 ? move(id, { parentDn: outside }) : hide(id, true)),
    returnToScope: (id) => (entryOf(id).hidden ? hide(id, false) : move(id, { parentDn: inside })),
    restore:
      typeof restore === 'function'
        ? async (id) => {
            await restore(dnOf(id), { objectClass: 'inetOrgPerson', sn: 'Kit', displayName: 'Restored', entryUUID: id });
            entries.set(id, { ...entryOf(id), hidden: false });
          }
        : restore,
    async setValues(id, count) {
      const values = Array.from({ length: count }, (_, index) => `https://example.com/${index}`);
      await modify(id, replace('labeledURI', ...values));
      return { attribute: 'labeledURI', values };
    },
    groups: {
      stream: 'groups',
      link: 'member',
      // The class asks for at least one member.
      create: ({ name, members }) => create(name, { objectClass: 'groupOfNames', member: [lastMembers, ...members.map(dnOf)] }),
      change: (id, text) => modify(id, replace('description', text)),
      delete: (id) => client.del(dnOf(id)),
      addMember: (group, member) => unlessAlreadySo(modify(group, add('member', dnOf(member)))),
      removeMember: (group, member) => unlessAlreadySo(modify(group, remove('member', dnOf(member)))),
    },
    repeat: notShown('a search of a directory gives each entry once'),
    async emptyPage(ids) {
      let pages = 0;
      beforePage = async () => {
        pages += 1;
        if (pages === 2) for (const id of ids) await hide(id, true);
      };
    },
    beforeRequest: (handler) => {
      beforeRequest = handler;
    },
    cut: async () => proxy.cut(),
    limitRate: async () => proxy.answerBusy(),
    async expireSignIn() {
      await client.modify(server.readerDn, [replace('userPassword', 'Another.Password.1')]);
      giveBack.defer(() => client.modify(server.readerDn, [replace('userPassword', server.readerPassword)]));
    },
    async loseRights() {
      await directory.letReadLog(false);
      giveBack.defer(() => directory.letReadLog(true));
    },
    expired: (marker) => ({ ...marker, position: directory.expired(marker.position) }),
    ahead: (marker) => ({ ...marker, position: directory.ahead(marker.position) }),
    strangerId: () => crypto.randomUUID(),
    async [Symbol.asyncDispose]() {
      proxy.beforeSearch = undefined;
      await giveBack.disposeAsync();
    },
  };
}

/** A position, a number of years later or earlier. */
function movedCsns(position: string, years: number): string {
  const set = parseCsnSet(position);
  if (set === undefined) throw new Error(`${position} is no position`);
  return csnSetText(new Map([...set].map(([id, csn]) => [id, `${Number(csn.slice(0, 4)) + years}${csn.slice(4)}`])));
}
