import { type Change, type Client, ResultCodeError } from 'ldapts';
import { activeDirectory } from '../../connectors/active-directory/index.ts';
import { add, hidden, idsAt, rdn, remove, replace, restoreDeleted } from '../support/directory-edits.ts';
import { type DirectoryProxy, startDirectoryProxy } from '../support/directory-proxy.ts';
import { type SambaServer, startSamba } from '../support/samba.ts';
import { createAccount, setDeletionRights, type TestAccount } from '../support/samba-accounts.ts';
import { type ConformanceHarness, type ConformanceSource, notShown } from './index.ts';

/** A domain controller for the kit; each of its sources is an OU. */
export interface ActiveDirectoryHarness extends ConformanceHarness, AsyncDisposable {}

/** Result codes (RFC 4511 A.1) of a member that is added twice, or removed without being one. */
const alreadySo: readonly number[] = [16, 20, 53, 68];

const dayMs = 86_400_000;

/** Starts a Samba domain controller and a proxy before it. The connector signs in as an ordinary account that may see deletions. */
export async function startActiveDirectory(): Promise<ActiveDirectoryHarness> {
  await using undo = new AsyncDisposableStack();
  const dc = undo.use(await startSamba());
  const proxy = undo.use(await startDirectoryProxy(dc));
  const account = await createAccount(dc, 'svc-kit', { seesDeletions: true });
  const client = await dc.client();
  undo.defer(() => client.unbind());
  const owned = undo.move();
  let number = 0;
  return {
    connector: activeDirectory,
    pageSize: 4,
    newSource: () => organizationalUnit({ dc, proxy, account, client }, ++number),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface Domain {
  readonly dc: SambaServer;
  readonly proxy: DirectoryProxy;
  readonly account: TestAccount;
  /** Signed in as administrator, past the proxy. */
  readonly client: Client;
}

interface Entry {
  readonly name: string;
  readonly parentDn: string;
  readonly accountName: string;
  readonly hidden: boolean;
}

/** An empty OU that the connector reads, and one beside it that it does not. */
async function organizationalUnit({ dc, proxy, account, client }: Domain, number: number): Promise<ConformanceSource> {
  const top = `OU=Kit ${number},${dc.baseDn}`;
  const [inside, outside] = [`OU=In,${top}`, `OU=Out,${top}`];
  for (const dn of [top, inside, outside]) await client.add(dn, { objectClass: 'organizationalUnit' });
  const entries = new Map<string, Entry>();
  // The account serves all sources.
  const giveBack = new AsyncDisposableStack();
  let accounts = 0;
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

  async function create(objectClass: 'user' | 'group', name: string, more: Record<string, string | string[]>): Promise<string> {
    const accountName = `k${number}-${++accounts}`;
    const dn = `${rdn('CN', name)},${inside}`;
    await client.add(dn, { objectClass, sAMAccountName: accountName, ...more });
    const { guid } = await idsAt(client, dn);
    entries.set(guid, { name, parentDn: inside, accountName, hidden: false });
    return guid;
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
      bindDn: account.dn,
      bindPassword: { env: 'PASSWORD' },
      baseDn: inside,
      memberRange: 3,
    },
    streams: {
      users: { filter: `(&(objectCategory=person)(objectClass=user)(!(employeeType=${hidden.filter})))`, attributes: ['otherTelephone'] },
      groups: {},
    },
    secret: () => Promise.resolve(account.password),
    stream: 'users',
    textAttribute: 'displayName',
    create: ({ name, text }) => create('user', name, { displayName: text }),
    change: (id, text) => modify(id, replace('displayName', ...(text === null ? [] : [text]))),
    delete: (id) => client.del(dnOf(id)),
    rename: (id, name) => move(id, { name }),
    // By turns out of the base and out of the filter.
    leaveScope: (id) => (Number.parseInt(id, 16) % 2 === 0 ? move(id, { parentDn: outside }) : hide(id, true)),
    returnToScope: (id) => (entryOf(id).hidden ? hide(id, false) : move(id, { parentDn: inside })),
    async restore(id) {
      await restoreDeleted(client, id, dnOf(id));
      // The filter's attribute was lost with the deletion.
      entries.set(id, { ...entryOf(id), hidden: false });
      await modify(id, replace('sAMAccountName', entryOf(id).accountName));
    },
    async setValues(id, count) {
      const values = Array.from({ length: count }, (_, index) => `+1 555 ${index}`);
      await modify(id, replace('otherTelephone', ...values));
      return { attribute: 'otherTelephone', values };
    },
    groups: {
      stream: 'groups',
      link: 'member',
      create: ({ name, members }) => create('group', name, members.length === 0 ? {} : { member: members.map(dnOf) }),
      change: (id, text) => modify(id, replace('description', text)),
      delete: (id) => client.del(dnOf(id)),
      addMember: (group, member) => unlessAlreadySo(modify(group, add('member', dnOf(member)))),
      removeMember: (group, member) => unlessAlreadySo(modify(group, remove('member', dnOf(member)))),
    },
    repeat: notShown('a search of a domain controller gives each entry once'),
    async emptyPage(ids) {
      let pages = 0;
      beforePage = async () => {
        pages += 1;
        // The server fixes a listing's order at its first page; entries that match no more when their page is due leave it empty.
        if (pages === 2) for (const id of ids) await hide(id, true);
      };
    },
    beforeRequest: (handler) => {
      beforeRequest = handler;
    },
    cut: async () => proxy.cut(),
    limitRate: async () => proxy.answerBusy(),
    async expireSignIn() {
      await client.modify(account.dn, replace('userAccountControl', '514'));
      giveBack.defer(() => client.modify(account.dn, replace('userAccountControl', '512')));
    },
    async loseRights() {
      await setDeletionRights(dc, account, false);
      giveBack.defer(() => setDeletionRights(dc, account, true));
    },
    expired: (marker) => ({ ...marker, takenAt: new Date(Date.parse(marker.takenAt) - 180 * dayMs).toISOString() }),
    ahead: (marker) => ({ ...marker, position: String(BigInt(marker.position) + 1_000_000n) }),
    strangerId: () => crypto.randomUUID(),
    async [Symbol.asyncDispose]() {
      proxy.beforeSearch = undefined;
      await giveBack.disposeAsync();
    },
  };
}
