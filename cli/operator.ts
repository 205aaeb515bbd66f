import { userInfo } from 'node:os';

/** Who runs this command; a container may run it as a user without a name. */
export function operator(): string {
  try {
    return userInfo().username;
  } catch {
    return `user ${process.getuid?.() ?? 'unknown'}`;
  }
}
