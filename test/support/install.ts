import { installJdbc } from './jdbc.ts';
import { installMariaDb } from './mariadb.ts';
import { installSamba } from './samba.ts';
import { installSlapd } from './slapd.ts';

await installSamba();
await installSlapd();
await installMariaDb();
await installJdbc();
