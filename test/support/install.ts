import { installSamba } from './samba.ts';

await installSamba();
