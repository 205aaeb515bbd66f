import type { Change, Client } from 'ldapts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { activeDirectory } from '../../../connectors/active-directory/index.ts';
import { add, deleteTree, hidden, idsAt, rdn, remove, replace, restoreDeleted } from '../../support/directory-edits.ts';
import { startDirectoryProxy } from '../../support/directory-proxy.ts';
import { type SambaServer, startSamba } from '../../support/samba.ts';
import { objectsOf, startTidemark, type TestTidemark } from '../../support/tidemark.ts';
import { configure, type DirectoryIntegration, expectAsReadAnew, passwordVariable, sync } from './deltas-oracle.ts';
import { openSession, readWhole } from './support.ts';

let dc: SambaServer;
let client: Client;
let tidemark: TestTidemark;
let scope: string;
let number = 0;
const undo = new AsyncDisposableStack();

beforeAll(async () => {
  dc = undo.use(await startSamba());
  tidemark = undo.use(await startTidemark([activeDirectory]));
  process.env[passwordVariable] = dc.adminPassword;
  client = await dc.client();
  undo.defer(() => client.unbind());
});
afterAll(() => undo.disposeAsync());

/** Every test works in an OU of its own, `In` of it being the base and `Out` another place of the domain. */
beforeEach(async () => {
  number += 1;
  const top = `OU=Test ${number},${dc.baseDn}`;
  scope = `OU=In,${top}`;
  for (const dn of [top, scope, `OU=Out,${top}`]) await client.add(dn, { objectClass: 'organizationalUnit' });
});

const outside = (): string => scope.replace('OU=In', 'OU=Out');
const cn = (name: string, parent = scope): string => `${rdn('CN', name)},${parent}`;
const ou = (name: string, parent = scope): string => `${rdn('OU', name)},${parent}`;
let accounts = 0;
const account = (): string => `t${number}-${++accounts}`;
const addUser = (name: string, parent = scope, more: Readonly<Record<string, string>> = {}): Promise<void> =>
  client.add(cn(name, parent), { objectClass: 'user', sAMAccountName: account(), ...more });
const addGroup = (name: string, members: readonly string[] = [], parent = scope): Promise<void> =>
  client.add(cn(name, parent), {
    objectClass: 'group',
    sAMAccountName: account(),
    ...(members.length > 0 ? { member: [...members] } : {}),
  });
const addUnit = (name: string, parent = scope): Promise<void> => client.add(ou(name, parent), { objectClass: 'organizationalUnit' });
const move = (from: string, to: string): Promise<void> => client.modifyDN(from, to);
const modify = (dn: string, ...changes: Change[]): Promise<void> => client.modify(dn, changes);

/** Deletes an object and takes it back, at the same DN unless told otherwise. */
async function deleteAndRestore(dn: string, to = dn, between: () => Promise<unknown> = async () => undefined): Promise<void> {
  const { guid } = await idsAt(client, dn);
  await client.del(dn);
  await between();
  await restoreDeleted(client, guid, to);
}

/** Anna, Berta and Carla, who lead and belong to each other. */
async function team(parent = scope): Promise<void> {
  await addUser('Anna', parent);
  await addUser('Berta', parent, { manager: cn('Anna', parent) });
  await addUser('Carla', parent);
  await addGroup('Team', [cn('Anna', parent), cn('Berta', parent)], parent);
}

/** An OU with another below it, people and a group in both. */
async function units(parent = scope): Promise<void> {
  await addUnit('A', parent);
  await addUnit('B', ou('A', parent));
  for (const name of ['Dora', 'Edda']) await addUser(name, ou('A', parent));
  for (const name of ['Fara', 'Gina', 'Hanna', 'Ida', 'Jana'])
    await addUser(name, ou('B', ou('A', parent)), { manager: cn('Dora', ou('A', parent)) });
  await addGroup('Crew', [cn('Edda', ou('A', parent)), cn('Fara', ou('B', ou('A', parent)))], ou('B', ou('A', parent)));
}

interface Case {
  readonly what: string;
  readonly before: () => Promise<void>;
  /** Each is followed by a delta. */
  readonly changes: readonly (() => Promise<unknown>)[];
  /** The change rows of each delta, where they are looked at. */
  readonly rows?: readonly (readonly string[])[];
  /** Not promised by deltas that go by whenChanged. */
  readonly usnOnly?: true;
}

const cases: readonly Case[] = [
  {
    what: 'somebody is hired',
    before: team,
    changes: [() => addUser('Doris', scope, { manager: cn('Anna') })],
    rows: [['created CN=Doris', 'link-added CN=Doris manager CN=Anna']],
  },
  {
    what: 'attributes are set, changed and cleared',
    before: team,
    changes: [
      () => modify(cn('Anna'), replace('title', 'Head'), replace('displayName', 'Anna A')),
      () => modify(cn('Anna'), replace('title', 'Director')),
      () => modify(cn('Anna'), remove('title'), remove('displayName')),
    ],
    rows: [['updated CN=Anna'], ['updated CN=Anna'], ['updated CN=Anna']],
  },
  {
    what: 'an account is enabled and disabled',
    before: team,
    changes: [
      () => modify(cn('Anna'), replace('userAccountControl', '544')),
      () => modify(cn('Anna'), replace('userAccountControl', '546')),
    ],
    rows: [['updated CN=Anna'], ['updated CN=Anna']],
  },
  {
    what: 'somebody is renamed',
    before: team,
    changes: [() => move(cn('Anna'), cn('Anne'))],
    rows: [['updated CN=Anne']],
  },
  { what: 'an account name changes', before: team, changes: [() => modify(cn('Anna'), replace('sAMAccountName', account()))] },
  {
    what: 'somebody moves between OUs',
    before: async () => {
      await team();
      await units();
    },
    changes: [() => move(cn('Anna'), cn('Anna', ou('A'))), () => move(cn('Anna', ou('A')), cn('Anna', ou('B', ou('A'))))],
  },
  {
    what: 'somebody moves out of the base and back',
    before: team,
    changes: [() => move(cn('Anna'), cn('Anna', outside())), () => move(cn('Anna', outside()), cn('Anna'))],
    rows: [
      ['deleted CN=Anna', 'link-removed CN=Berta manager CN=Anna', 'link-removed CN=Team member CN=Anna'],
      ['link-added CN=Berta manager CN=Anna', 'link-added CN=Team member CN=Anna', 'restored CN=Anna'],
    ],
  },
  {
    what: 'somebody moves out of the base and back in one window',
    before: team,
    changes: [
      async () => {
        await move(cn('Anna'), cn('Anna', outside()));
        await move(cn('Anna', outside()), cn('Anna'));
      },
    ],
    rows: [[]],
  },
  {
    what: 'somebody leaves the filter and returns',
    before: team,
    changes: [() => modify(cn('Anna'), replace('employeeType', hidden.filter)), () => modify(cn('Anna'), remove('employeeType'))],
    rows: [
      ['deleted CN=Anna', 'link-removed CN=Berta manager CN=Anna', 'link-removed CN=Team member CN=Anna'],
      ['link-added CN=Berta manager CN=Anna', 'link-added CN=Team member CN=Anna', 'restored CN=Anna'],
    ],
  },
  {
    what: 'a group leaves the filter and returns',
    before: async () => {
      await team();
      await addGroup('All', [cn('Team')]);
    },
    changes: [() => modify(cn('Team'), replace('info', hidden.filter)), () => modify(cn('Team'), remove('info'))],
  },
  {
    what: 'somebody leaves include and returns',
    before: team,
    changes: [() => modify(cn('Anna'), replace('department', hidden.include)), () => modify(cn('Anna'), replace('department', 'Sales'))],
    rows: [
      ['deleted CN=Anna', 'link-removed CN=Berta manager CN=Anna', 'link-removed CN=Team member CN=Anna'],
      ['link-added CN=Berta manager CN=Anna', 'link-added CN=Team member CN=Anna', 'restored CN=Anna'],
    ],
  },
  {
    what: 'references to somebody outside change, who then comes in',
    before: async () => {
      await team();
      await addUser('Zoe', outside());
    },
    changes: [
      () => modify(cn('Team'), add('member', cn('Zoe', outside()))),
      () => modify(cn('Carla'), replace('manager', cn('Zoe', outside()))),
      () => move(cn('Zoe', outside()), cn('Zoe')),
    ],
  },
  {
    what: 'somebody leaves, is taken out of a group, and returns',
    before: team,
    changes: [
      () => move(cn('Anna'), cn('Anna', outside())),
      () => modify(cn('Team'), remove('member', cn('Anna', outside()))),
      () => move(cn('Anna', outside()), cn('Anna')),
    ],
  },
  {
    what: 'an OU is renamed',
    before: units,
    changes: [() => move(ou('A'), ou('Z'))],
    rows: [
      ['CN=Crew', 'CN=Dora', 'CN=Edda', 'CN=Fara', 'CN=Gina', 'CN=Hanna', 'CN=Ida', 'CN=Jana', 'OU=B', 'OU=Z'].map(
        (name) => `updated ${name}`,
      ),
    ],
  },
  {
    what: 'an OU moves inside the base',
    before: async () => {
      await units();
      await addUnit('C');
    },
    changes: [() => move(ou('A'), ou('A', ou('C'))), () => move(ou('B', ou('A', ou('C'))), ou('B'))],
  },
  {
    what: 'an OU moves out of the base and back',
    before: units,
    changes: [() => move(ou('A'), ou('A', outside())), () => move(ou('A', outside()), ou('A'))],
  },
  {
    what: 'nested OUs are renamed, moved and refilled in one window',
    before: async () => {
      await units();
      await team();
      await addUnit('C');
    },
    changes: [
      async () => {
        await move(ou('B', ou('A')), ou('B2', ou('A')));
        await move(ou('A'), ou('A2', ou('C')));
        await move(cn('Anna'), cn('Anna', ou('B2', ou('A2', ou('C')))));
        await move(ou('C'), ou('C2'));
        await addUser('Nina', ou('A2', ou('C2')));
      },
    ],
  },
  {
    what: 'an OU is deleted with all that is in it',
    before: async () => {
      await units();
      await addGroup('All', [cn('Crew', ou('B', ou('A'))), cn('Dora', ou('A'))]);
    },
    changes: [() => deleteTree(client, ou('A'))],
  },
  {
    what: 'members are added and removed',
    before: team,
    changes: [
      () => modify(cn('Team'), add('member', cn('Carla'))),
      () => modify(cn('Team'), remove('member', cn('Anna'))),
      () => modify(cn('Team'), remove('member')),
    ],
    rows: [
      ['link-added CN=Team member CN=Carla'],
      ['link-removed CN=Team member CN=Anna'],
      ['link-removed CN=Team member CN=Berta', 'link-removed CN=Team member CN=Carla'],
    ],
  },
  {
    what: 'groups are nested, in a circle too',
    before: async () => {
      await team();
      await addGroup('All', [cn('Team')]);
      await addGroup('Board', [cn('All')]);
    },
    changes: [
      () => modify(cn('Team'), add('member', cn('Board'))),
      () => modify(cn('All'), add('member', cn('Board'))),
      () => modify(cn('Team'), remove('member', cn('Board'))),
    ],
    rows: [['link-added CN=Team member CN=Board'], ['link-added CN=All member CN=Board'], ['link-removed CN=Team member CN=Board']],
  },
  {
    what: 'a manager is set, changed and cleared',
    before: team,
    changes: [
      () => modify(cn('Carla'), replace('manager', cn('Anna'))),
      () => modify(cn('Carla'), replace('manager', cn('Berta'))),
      () => modify(cn('Carla'), remove('manager')),
    ],
    rows: [
      ['link-added CN=Carla manager CN=Anna'],
      ['link-added CN=Carla manager CN=Berta', 'link-removed CN=Carla manager CN=Anna'],
      ['link-removed CN=Carla manager CN=Berta'],
    ],
  },
  {
    what: 'an owner of a group and an OU changes',
    before: team,
    changes: [
      () => modify(cn('Team'), replace('managedBy', cn('Anna'))),
      () => modify(cn('Team'), replace('managedBy', cn('Berta'))),
      () => modify(scope, replace('managedBy', cn('Berta'))),
      () => modify(cn('Team'), remove('managedBy')),
    ],
  },
  {
    what: 'a primary group changes',
    before: async () => {
      await team();
      await addGroup('Other', [cn('Anna')]);
    },
    changes: [
      async () => modify(cn('Anna'), replace('primaryGroupID', (await idsAt(client, cn('Team'))).relativeId ?? '')),
      async () => modify(cn('Anna'), replace('primaryGroupID', (await idsAt(client, cn('Other'))).relativeId ?? '')),
      () => modify(cn('Anna'), replace('primaryGroupID', '513')),
    ],
    rows: [
      ['link-added CN=Anna primaryGroup CN=Team', 'link-removed CN=Team member CN=Anna'],
      [
        'link-added CN=Anna primaryGroup CN=Other',
        'link-added CN=Team member CN=Anna',
        'link-removed CN=Anna primaryGroup CN=Team',
        'link-removed CN=Other member CN=Anna',
      ],
      ['link-added CN=Other member CN=Anna', 'link-removed CN=Anna primaryGroup CN=Other'],
    ],
  },
  {
    what: 'a group is renamed',
    before: team,
    changes: [() => move(cn('Team'), cn('Gang')), () => modify(cn('Gang'), replace('sAMAccountName', account()))],
  },
  {
    what: 'a group is deleted',
    before: async () => {
      await team();
      await addGroup('All', [cn('Team'), cn('Carla')]);
    },
    changes: [() => client.del(cn('Team'))],
  },
  {
    what: 'a group is deleted and another takes its name and account name',
    before: async () => {
      await team();
      await client.add(cn('Gang'), {
        objectClass: 'group',
        sAMAccountName: `gang-${number}`,
        mail: 'gang@corp.example',
        member: [cn('Anna'), cn('Team')],
      });
      await addGroup('All', [cn('Gang')]);
      await modify(cn('Team'), add('member', cn('Gang')));
    },
    changes: [
      async () => {
        await client.del(cn('Gang'));
        await client.add(cn('Gang'), {
          objectClass: 'group',
          sAMAccountName: `gang-${number}`,
          mail: 'gang@corp.example',
          member: cn('Berta'),
        });
      },
      () => modify(cn('All'), add('member', cn('Gang'))),
    ],
    rows: [
      [
        'created CN=Gang',
        'deleted CN=Gang',
        'link-added CN=Gang member CN=Berta',
        'link-removed CN=All member CN=Gang',
        'link-removed CN=Gang member CN=Anna',
        'link-removed CN=Gang member CN=Team',
        'link-removed CN=Team member CN=Gang',
      ],
      ['link-added CN=All member CN=Gang'],
    ],
  },
  {
    what: 'an e-mail address passes to another person',
    before: async () => {
      await team();
      await modify(cn('Anna'), replace('mail', 'office@corp.example'));
    },
    changes: [
      // Both have it for a while.
      () => modify(cn('Berta'), replace('mail', 'office@corp.example')),
      () => modify(cn('Anna'), remove('mail')),
      async () => {
        await client.del(cn('Berta'));
        await addUser('Doris', scope, { mail: 'office@corp.example' });
      },
    ],
    rows: [
      ['updated CN=Berta'],
      ['updated CN=Anna'],
      ['created CN=Doris', 'deleted CN=Berta', 'link-removed CN=Berta manager CN=Anna', 'link-removed CN=Team member CN=Berta'],
    ],
  },
  {
    what: 'somebody is deleted, whose memberships and reports vanish without a trace',
    before: team,
    changes: [() => client.del(cn('Anna'))],
    rows: [['deleted CN=Anna', 'link-removed CN=Berta manager CN=Anna', 'link-removed CN=Team member CN=Anna']],
  },
  {
    what: 'somebody is deleted whose group changes before',
    before: team,
    changes: [
      async () => {
        await modify(cn('Team'), add('member', cn('Carla')));
        await client.del(cn('Anna'));
      },
    ],
  },
  {
    what: 'somebody is deleted whose group changes after',
    before: team,
    changes: [
      async () => {
        await client.del(cn('Anna'));
        await modify(cn('Team'), add('member', cn('Carla')), replace('description', 'x'));
      },
    ],
  },
  {
    what: 'somebody is deleted and another takes the name',
    before: team,
    changes: [
      async () => {
        await client.del(cn('Anna'));
        await addUser('Anna');
      },
      () => modify(cn('Team'), add('member', cn('Anna'))),
    ],
    rows: [
      ['created CN=Anna', 'deleted CN=Anna', 'link-removed CN=Berta manager CN=Anna', 'link-removed CN=Team member CN=Anna'],
      ['link-added CN=Team member CN=Anna'],
    ],
  },
  {
    what: 'somebody is hired and deleted in one window',
    before: team,
    changes: [
      async () => {
        await addUser('Zoe');
        await modify(cn('Team'), add('member', cn('Zoe')));
        await client.del(cn('Zoe'));
      },
    ],
    rows: [[]],
  },
  {
    what: 'somebody deleted is restored after a delta, without memberships and reports',
    before: team,
    changes: (() => {
      let guid = '';
      return [
        async () => {
          guid = (await idsAt(client, cn('Anna'))).guid;
          await client.del(cn('Anna'));
        },
        () => restoreDeleted(client, guid, cn('Anna')),
        () => modify(cn('Team'), add('member', cn('Anna'))),
      ];
    })(),
    rows: [
      ['deleted CN=Anna', 'link-removed CN=Berta manager CN=Anna', 'link-removed CN=Team member CN=Anna'],
      ['restored CN=Anna'],
      ['link-added CN=Team member CN=Anna'],
    ],
  },
  {
    what: 'somebody is deleted and restored in one window, which drops memberships and reports',
    before: team,
    changes: [() => deleteAndRestore(cn('Anna'))],
    usnOnly: true,
  },
  {
    what: 'somebody is deleted, restored and taken back into the group in one window',
    before: team,
    changes: [
      async () => {
        await deleteAndRestore(cn('Anna'));
        await modify(cn('Team'), add('member', cn('Anna')));
      },
    ],
    usnOnly: true,
  },
  {
    what: 'somebody is deleted and restored elsewhere, inside or outside the base',
    before: async () => {
      await team();
      await units();
    },
    changes: [() => deleteAndRestore(cn('Anna'), cn('Anna', ou('A'))), () => deleteAndRestore(cn('Berta'), cn('Berta', outside()))],
    usnOnly: true,
  },
  {
    what: 'names are beyond ASCII or hold what DNs escape',
    before: async () => {
      await addUnit('Übermut, #1 "+<;>" = \\ 東京');
      await addUser('Müller, Jörg', ou('Übermut, #1 "+<;>" = \\ 東京'), { displayName: 'Слава 😀', title: '<b>&"x"\\' });
      await addUser(' #führend und folgend ', scope, { manager: cn('Müller, Jörg', ou('Übermut, #1 "+<;>" = \\ 東京')) });
      await addGroup('Team=Grün+Weiß', [cn('Müller, Jörg', ou('Übermut, #1 "+<;>" = \\ 東京'))]);
    },
    changes: [
      () => move(cn('Müller, Jörg', ou('Übermut, #1 "+<;>" = \\ 東京')), cn('李 "小龍", \\ x', ou('Übermut, #1 "+<;>" = \\ 東京'))),
      () => move(ou('Übermut, #1 "+<;>" = \\ 東京'), ou('Ärger; <weg>, #+')),
      () => move(cn(' #führend und folgend '), cn('Zoë\\, Dr.', ou('Ärger; <weg>, #+'))),
      () => move(cn('Team=Grün+Weiß'), cn('a/b=c,d', ou('Ärger; <weg>, #+'))),
      () => client.del(cn('李 "小龍", \\ x', ou('Ärger; <weg>, #+'))),
    ],
  },
  {
    what: 'a group has more members than are read at once',
    before: async () => {
      await units();
      await addGroup(
        'Big',
        ['Fara', 'Gina', 'Hanna', 'Ida', 'Jana'].map((name) => cn(name, ou('B', ou('A')))),
      );
    },
    changes: [
      () => modify(cn('Big'), remove('member', cn('Hanna', ou('B', ou('A'))))),
      () => modify(cn('Big'), add('member', cn('Dora', ou('A')))),
      () => client.del(cn('Ida', ou('B', ou('A')))),
      () => move(ou('B', ou('A')), ou('B', outside())),
      () => move(ou('B', outside()), ou('B')),
    ],
  },
];

/** Change rows of a run by the first part of the DN that each object has now. */
async function rowsOf(run: string): Promise<readonly string[]> {
  const { rows } = await tidemark.store.pool.query<{ change: string }>(
    `select c.kind || ' ' || split_part(o.key, ',', 1) || coalesce(' ' || c.link || ' ' || split_part(t.key, ',', 1), '') as change
       from tidemark.change c join tidemark.object o on o.id = c.object_id left join tidemark.object t on t.id = c.target_id
      where c.run_id = $1`,
    [run],
  );
  return rows.map(({ change }) => change).toSorted();
}

async function play({ before, changes, rows }: Case, marker: 'usn' | 'whenChanged'): Promise<void> {
  await before();
  const settings: DirectoryIntegration = { dc, url: dc.ldapUrl, baseDn: scope, marker };
  const kept = tidemark.temporal.integrationId('kept');
  await configure(tidemark, kept, settings);
  await sync(tidemark, kept, 'complete');
  for (const [index, change] of changes.entries()) {
    await change();
    const run = await sync(tidemark, kept, 'delta');
    expect(Object.values(run.streams).map(({ mode }) => mode)).toEqual(['delta', 'delta', 'delta']);
    const expected = rows?.[index];
    if (expected !== undefined) expect(await rowsOf(run.id)).toEqual(expected.toSorted());
    // Each comparison costs a complete read; by time, the state after the last change says enough.
    if (marker === 'usn' || index === changes.length - 1) await expectAsReadAnew(tidemark, kept, settings);
  }
}

describe('a delta leaves what a fresh complete read gives when', () => {
  for (const each of cases) test(each.what, () => play(each, 'usn'));
});

describe('a delta by whenChanged leaves what a fresh complete read gives when', () => {
  for (const each of cases.filter(({ usnOnly }) => usnOnly !== true)) test(each.what, () => play(each, 'whenChanged'));
});

test('a delta on which nothing happened changes nothing', async () => {
  await team();
  const settings: DirectoryIntegration = { dc, url: dc.ldapUrl, baseDn: scope };
  const kept = tidemark.temporal.integrationId('kept');
  await configure(tidemark, kept, settings);
  await sync(tidemark, kept, 'complete');
  const before = await objectsOf(tidemark.store, kept);
  expect(await rowsOf((await sync(tidemark, kept, 'delta')).id)).toEqual([]);
  expect(await objectsOf(tidemark.store, kept)).toEqual(before);
});

test('a delta survives an OU that moves on before any of its searches', async () => {
  await using proxy = await startDirectoryProxy(dc);
  await using session = await openSession(dc, { settings: { urls: [proxy.url], allowPlaintext: true, caFile: undefined, baseDn: scope } });
  await units();
  let name = 'A';
  let searches = 0;
  for (let at = 1; at === 1 || at <= searches; at += 1) {
    const since = await session.mark('users');
    const rename = async (): Promise<void> => {
      const next = `A${at}-${name}`.slice(0, 20);
      await move(ou(name), ou(next));
      name = next;
    };
    await rename();
    const start = proxy.searches();
    proxy.beforeSearch = (number) => (number === start + at ? rename() : Promise.resolve());
    await readWhole(session.readChanges('users', since, since));
    searches = proxy.searches() - start;
    proxy.beforeSearch = undefined;
  }
  expect(searches).toBeGreaterThan(3);
});

describe('people who are renamed and moved before every search of a read are stored as they are, and nobody is deleted', () => {
  test.each(['complete', 'delta'] as const)('in a %s sync', async (mode) => {
    await using proxy = await startDirectoryProxy(dc);
    await units();
    const people = ['Anna', 'Berta', 'Carla', 'Doris', 'Elsa', 'Frida', 'Greta'].map((name) => ({ name, parent: scope }));
    for (const { name } of people) await addUser(name, scope, { manager: cn('Dora', ou('A')) });
    await addGroup(
      'Team',
      people.map(({ name }) => cn(name)),
    );
    const settings: DirectoryIntegration = { dc, url: proxy.url, baseDn: scope };
    const kept = tidemark.temporal.integrationId('kept');
    await configure(tidemark, kept, settings);
    await sync(tidemark, kept, 'complete');
    const ids = (await objectsOf(tidemark.store, kept)).map(({ sourceId }) => sourceId);
    for (const { name, parent } of people) await modify(cn(name, parent), replace('title', 'Head'));
    await modify(cn('Team'), replace('description', 'moving'));

    let moves = 0;
    let turn: Promise<void> = Promise.resolve();
    proxy.beforeSearch = () => {
      turn = turn.then(async () => {
        const person = people[moves++ % people.length];
        if (person === undefined) return;
        const next = { name: `${person.name.split(' ')[0]} ${moves}`, parent: [scope, ou('A'), ou('B', ou('A'))][moves % 3] ?? scope };
        await move(cn(person.name, person.parent), cn(next.name, next.parent));
        Object.assign(person, next);
      });
      return turn;
    };
    try {
      const { streams, links } = await sync(tidemark, kept, mode);
      expect({ deleted: streams.users?.deleted, removed: links.removed }).toEqual({ deleted: 0, removed: 0 });
    } finally {
      proxy.beforeSearch = undefined;
      await turn;
    }
    expect(moves).toBeGreaterThan(2 * people.length);
    expect((await objectsOf(tidemark.store, kept)).map(({ sourceId }) => sourceId)).toEqual(ids);
    await sync(tidemark, kept, 'delta');
    await expectAsReadAnew(tidemark, kept, settings);
  });
});
