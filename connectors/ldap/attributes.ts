function lowerCase(...names: readonly string[]): ReadonlySet<string> {
  return new Set(names.map((name) => name.toLowerCase()));
}

/** Attributes that servers change or compute without a change of the entry's entryCSN or modifyTimestamp. A delta can't follow them. */
const untracked = lowerCase(
  // Computed, or kept by overlays and plug-ins from references of other entries.
  'memberOf',
  'isMemberOf',
  'nsRole',
  'dynamicMember',
  'hasSubordinates',
  'numSubordinates',
  'subschemaSubentry',
  // Written by sign-ins.
  'authTimestamp',
  'lastLoginTime',
  'pwdLastSuccess',
  'pwdFailureTime',
  'pwdAccountLockedTime',
  'pwdGraceUseTime',
  'passwordRetryCount',
  'retryCountResetTime',
  'accountUnlockTime',
  // Kept at the suffix for the whole database.
  'contextCSN',
);

/** Whether an attribute is known to change unseen by deltas. `streams()` has no server to ask. */
export function isUntracked(attribute: string): boolean {
  return untracked.has(attribute.toLowerCase());
}

/** Attributes that change without a change of the entry as people see it. */
export const volatileAttributes = [
  'entryCSN',
  'modifyTimestamp',
  'modifiersName',
  'contextCSN',
  'pwdChangedTime',
  'authTimestamp',
] as const;

const secrets = lowerCase(
  'userPassword',
  'userPKCS12',
  'authPassword',
  'pwdHistory',
  'passwordHistory',
  'sambaLMPassword',
  'sambaNTPassword',
  'sambaPasswordHistory',
  'krbPrincipalKey',
  'krbExtraData',
  'ipaNTHash',
  'oathSecret',
  'ipatokenOTPkey',
  'nsDS5ReplicaCredentials',
  'userPrivateKey',
);

/** Whether an attribute holds a secret that no stream may read. */
export function isSecret(attribute: string): boolean {
  return secrets.has(attribute.toLowerCase());
}

/** Attributes that the schema lets have many values and that hold one in practice: their first value is given, unless the stream says otherwise. */
const oneInPractice = lowerCase(
  'uid',
  'cn',
  'sn',
  'givenName',
  'initials',
  'mail',
  'title',
  'o',
  'ou',
  'departmentNumber',
  'employeeType',
  'telephoneNumber',
  'mobile',
  'street',
  'l',
  'st',
  'postalCode',
  'postalAddress',
  'physicalDeliveryOfficeName',
  'description',
  'manager',
  'nsAccountLock',
);

export function isOneInPractice(attribute: string): boolean {
  return oneInPractice.has(attribute.toLowerCase());
}
