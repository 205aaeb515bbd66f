import { installSamba } from './samba.ts';
import { installSlapd } from './slapd.ts';

await installSamba();
await installSlapd();
