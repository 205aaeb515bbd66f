import { isAtOrBelow } from './distinguished-name.ts';

/** A part of a directory tree: what lies directly below a base, or the base and all below it. */
export interface Scope {
  readonly base: string;
  readonly scope: 'one' | 'sub';
}

/** The part of a scope that lies at or below a DN; `undefined` if there is none. */
export function scopeWithin(whole: Scope, dn: string): Scope | undefined {
  if (isAtOrBelow(whole.base, dn)) return { base: whole.base, scope: whole.scope };
  if (!isAtOrBelow(dn, whole.base)) return undefined;
  return whole.scope === 'sub' ? { base: dn, scope: 'sub' } : undefined;
}
