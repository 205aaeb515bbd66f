import { TidemarkFailure } from '../../model/failure.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { domainScope, showDeleted } from './controls.ts';

/** DN of the container of a domain's tombstones; the name is the same in every language. */
export function deletedObjectsDn(domainDn: string): string {
  return `CN=Deleted Objects,${domainDn}`;
}

/**
 * Whether the account sees deletions. By default only administrators may: others get the container's bare name at best and no error,
 * so that a delta would find no deletions and look healthy. The container itself carries the rights its contents inherit; an account
 * that reads its `objectClass` and `whenCreated` has Read Property there, which comes with List Contents in the documented grant.
 * Its contents prove nothing: a young domain has none.
 */
export async function seesDeletions(connection: DirectoryConnection, domainDn: string): Promise<boolean> {
  const [container] = await connection.search(
    {
      base: deletedObjectsDn(domainDn),
      scope: 'base',
      attributes: ['objectClass', 'whenCreated'],
      controls: [domainScope(), showDeleted()],
      what: 'the Deleted Objects container',
    },
    'empty',
  );
  return ['objectClass', 'whenCreated'].every((name) => container?.attributes.some(({ type, count }) => type === name && count > 0));
}

/** How to give an account what {@link seesDeletions} asks for. */
export function deletionRightsRemedy(domainDn: string): string {
  const dn = deletedObjectsDn(domainDn);
  return (
    'As a domain administrator run: ' +
    `dsacls "${dn}" /takeOwnership` +
    ` ; dsacls "${dn}" /G DOMAIN\\ACCOUNT:LCRP` +
    ' (List Contents and Read Property), with the account of bindDn.'
  );
}

/** Fails with `RightsMissing` unless the account sees deletions. */
export async function requireDeletionRights(connection: DirectoryConnection, domainDn: string): Promise<void> {
  if (await seesDeletions(connection, domainDn)) return;
  throw new TidemarkFailure(
    'RightsMissing',
    `The account may not see deleted objects on ${connection.host}, so deletions would go unnoticed`,
    {
      remedy: deletionRightsRemedy(domainDn),
    },
  );
}
