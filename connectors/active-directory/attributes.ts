/** Attributes that change on an object without a change of its uSNChanged or whenChanged; lower case. A delta can't follow them. */
const untracked: ReadonlySet<string> = new Set(
  [
    // Back-links: computed from a forward link of another object.
    'memberOf',
    'directReports',
    'managedObjects',
    'isMemberOfDL',
    'serverReferenceBL',
    'netbootServer',
    'msDS-MembersForAzRoleBL',
    'msDS-NonMembersBL',
    'msDS-ObjectReferenceBL',
    'msDS-PSOApplied',
    'msDS-KrbTgtLinkBl',
    'msDS-AuthenticatedToAccountlist',
    'ownerBL',
    'publicDelegatesBL',
    'altRecipientBL',
    'authOrigBL',
    'dLMemSubmitPermsBL',
    'dLMemRejectPermsBL',
    'unauthOrigBL',
    'msExchDelegateListBL',
    'msExchCoManagedObjectsBL',
    'queryPolicyBL',
    'siteObjectBL',
    'masteredBy',
    'msCOM-UserLink',
    'bridgeheadServerListBL',
    'nonSecurityMemberBL',
    // Constructed at the time of reading.
    'tokenGroups',
    'tokenGroupsGlobalAndUniversal',
    'tokenGroupsNoGCAcceptable',
    'canonicalName',
    'primaryGroupToken',
    'parentGUID',
    'msDS-User-Account-Control-Computed',
    'msDS-UserPasswordExpiryTimeComputed',
    'msDS-PrincipalName',
    'msDS-ResultantPSO',
    'msDS-Approx-Immed-Subordinates',
    'msDS-MemberOfTransitive',
    'msDS-MemberTransitive',
    'msDS-TokenGroupNames',
    'msDS-TokenGroupNamesGlobalAndUniversal',
    'msDS-ReplAttributeMetaData',
    'msDS-ReplValueMetaData',
    'allowedAttributes',
    'allowedAttributesEffective',
    'allowedChildClasses',
    'allowedChildClassesEffective',
    'sDRightsEffective',
    'createTimeStamp',
    'modifyTimeStamp',
    'structuralObjectClass',
    'subSchemaSubEntry',
    'msDS-KeyVersionNumber',
    'msDS-Auxiliary-Classes',
    // Kept by each domain controller for itself.
    'lastLogon',
    'lastLogoff',
    'logonCount',
    'badPwdCount',
    'badPasswordTime',
  ].map((name) => name.toLowerCase()),
);

/** Whether an attribute is known to change unseen by deltas: back-links, constructed and not replicated attributes. `streams()` has no schema to ask. */
export function isUntracked(attribute: string): boolean {
  return untracked.has(attribute.toLowerCase());
}

/** Not replicated by the schema's flags, but never changed behind a delta's back: they move with the change itself, with the object's place, or not at all. Lower case. */
const movesWithChanges: ReadonlySet<string> = new Set(
  [
    'distinguishedName',
    'objectGUID',
    'instanceType',
    'uSNChanged',
    'uSNCreated',
    'whenChanged',
    'whenCreated',
    'isDeleted',
    'name',
    'cn',
  ].map((name) => name.toLowerCase()),
);

/** Whether deltas may rely on an attribute although the schema says that it is not replicated. */
export function isTrackedAnyway(attribute: string): boolean {
  return movesWithChanges.has(attribute.toLowerCase());
}

/** Attributes that change without a change of the object as people see it. */
export const volatileAttributes = [
  'uSNChanged',
  'uSNCreated',
  'whenChanged',
  'modifyTimeStamp',
  'dSCorePropagationData',
  'replPropertyMetaData',
  'lastLogon',
  'lastLogoff',
  'lastLogonTimestamp',
  'logonCount',
  'badPwdCount',
  'badPasswordTime',
] as const;

/** Secrets: never read, whoever asks. Lower case. */
const secrets: ReadonlySet<string> = new Set(
  [
    'unicodePwd',
    'dBCSPwd',
    'lmPwdHistory',
    'ntPwdHistory',
    'supplementalCredentials',
    'userPassword',
    'unixUserPassword',
    'msDS-ManagedPassword',
    'ms-Mcs-AdmPwd',
    'msLAPS-Password',
    'msLAPS-EncryptedPassword',
    'msLAPS-EncryptedPasswordHistory',
    'msLAPS-EncryptedDSRMPassword',
    'msLAPS-EncryptedDSRMPasswordHistory',
    'msFVE-RecoveryPassword',
    'msTPM-OwnerInformation',
    'trustAuthIncoming',
    'trustAuthOutgoing',
  ].map((name) => name.toLowerCase()),
);

/** Whether an attribute holds a secret that no stream may read. */
export function isSecret(attribute: string): boolean {
  return secrets.has(attribute.toLowerCase());
}
