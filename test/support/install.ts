import { installDirsrv } from './dirsrv.ts';
import { installJdbc } from './jdbc.ts';
import { installMariaDb } from './mariadb.ts';
import { installSamba } from './samba.ts';
import { installSlapd } from './slapd.ts';
import { installSshd } from './sshd.ts';

await installSamba();
await installSlapd();
await installDirsrv();
await installMariaDb();
await installJdbc();
await installSshd();
