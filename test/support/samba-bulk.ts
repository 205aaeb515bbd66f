import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { SambaServer } from './samba.ts';

const run = promisify(execFile);

/** People and groups of them, all directly below one OU. */
export interface LargeGroups {
  /** The OU, which must not exist. */
  readonly ouDn: string;
  /** How many people there are: `CN=P0`, `CN=P1` and so on, with account names and addresses to match. */
  readonly people: number;
  /** A group `CN=Group of SIZE` for each, of the first people; account name `gSIZE`. */
  readonly sizes: readonly number[];
}

/**
 * Makes some ten thousand people and their groups in seconds, on the stopped server's database, and starts it again. Samba itself makes the
 * first person and the groups of that one; the others are copies of that record, written below its modules, with ids of their own.
 */
export async function makeLargeGroups(dc: SambaServer, { ouDn, people, sizes }: LargeGroups): Promise<void> {
  await dc.stop();
  const configuration = join(dc.directory, 'dc', 'etc', 'smb.conf');
  const partition = join(dc.directory, 'dc', 'private', 'sam.ldb.d', `${dc.baseDn.toUpperCase()}.ldb`);
  await run('/usr/bin/python3', ['-c', script, configuration, partition, ouDn, String(people), ...sizes.map(String)]);
  await dc.restart();
}

const script = `
import sys, uuid
from samba.auth import system_session
from samba.dcerpc import misc, security
from samba.ndr import ndr_pack, ndr_unpack
from samba.param import LoadParm
from samba.samdb import SamDB
import ldb
configuration, partition, ou, people = sys.argv[1:5]
people, sizes = int(people), [int(size) for size in sys.argv[5:]]
lp = LoadParm()
lp.load(configuration)
samdb = SamDB(lp=lp, session_info=system_session(lp))
first = 'CN=P0,' + ou
samdb.add({'dn': ou, 'objectClass': 'organizationalUnit'})
samdb.add({'dn': first, 'objectClass': 'user', 'sAMAccountName': 'p0', 'mail': 'p0@corp.example'})
for size in sizes:
    samdb.add({'dn': 'CN=Group of %d,%s' % (size, ou), 'objectClass': 'group', 'sAMAccountName': 'g%d' % size, 'member': [first]})
del samdb

raw = ldb.Ldb('tdb://' + partition, flags=ldb.FLG_DONT_CREATE_DB | ldb.FLG_NOSYNC)
record = lambda dn: raw.search(base=dn, scope=ldb.SCOPE_BASE)[0]
person = record(first)
values = {name: [bytes(value) for value in person[name]] for name in person.keys() if name not in ('dn', 'distinguishedName')}
domain, rid = ndr_unpack(security.dom_sid, values['objectSid'][0]).split()
# Far above what the server gives out by itself.
sids = ['%s-%d' % (domain, rid if index == 0 else 10000000 + index) for index in range(people)]
guids = [uuid.UUID(bytes_le=values['objectGUID'][0]) if index == 0 else uuid.uuid4() for index in range(people)]
groups = {size: next(link for link in values['memberOf'] if b'CN=Group of %d,' % size in link) for size in sizes}

def link_to(index, link):
    return (link.replace(str(guids[0]).encode(), str(guids[index]).encode())
                .replace(b'<SID=%s>' % sids[0].encode(), b'<SID=%s>' % sids[index].encode())
                .replace(b'CN=P0,', b'CN=P%d,' % index))

# Keeping the indexes up to date costs more with every record, making them anew at the end does not.
indexes = raw.search(base='@INDEXLIST', scope=ldb.SCOPE_BASE)[0]
def set_indexes(database, on, controls):
    message = ldb.Message(ldb.Dn(database, '@INDEXLIST'))
    for kind in ('@IDXATTR', '@IDXONE'):
        names = [bytes(name) for name in indexes[kind]] if on else []
        message[kind] = ldb.MessageElement(names, ldb.FLAG_MOD_REPLACE, kind)
    database.modify(message, controls)

set_indexes(raw, False, [])
raw.transaction_start()
for index in range(1, people):
    name = b'P%d' % index
    copy = dict(values, cn=[name], name=[name], sAMAccountName=[name.lower()], mail=[name.lower() + b'@corp.example'],
                objectGUID=[guids[index].bytes_le], objectSid=[ndr_pack(security.dom_sid(sids[index]))],
                memberOf=[link for size, link in groups.items() if index < size])
    message = ldb.Message(ldb.Dn(raw, 'CN=P%d,%s' % (index, ou)))
    for attribute, content in copy.items():
        if content:
            message[attribute] = ldb.MessageElement(content, ldb.FLAG_MOD_ADD, attribute)
    raw.add(message)
for size in sizes:
    group = record('CN=Group of %d,%s' % (size, ou))
    link = bytes(group['member'][0])
    # Samba keeps links in the order of their targets' GUIDs.
    ordered = sorted(range(size), key=lambda index: guids[index].bytes_le)
    message = ldb.Message(group.dn)
    message['member'] = ldb.MessageElement([link_to(index, link) for index in ordered], ldb.FLAG_MOD_REPLACE, 'member')
    raw.modify(message)
raw.transaction_commit()
del raw
# Samba makes them: what stands in them depends on its schema.
set_indexes(SamDB(lp=lp, session_info=system_session(lp)), True, ['relax:0'])
`;
