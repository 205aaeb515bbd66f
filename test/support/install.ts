import { installDirsrv } from './dirsrv.ts';
import { installJdbc } from './jdbc.ts';
import { installMariaDb } from './mariadb.ts';
import { installSamba } from './samba.ts';
import { installSlapd } from './slapd.ts';
import { installSshd } from './sshd.ts';

/** Everything that is missing is told at once, each with how to install it. */
for (const install of [installSamba, installSlapd, installDirsrv, installMariaDb, installJdbc, installSshd]) {
  await install().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
}
