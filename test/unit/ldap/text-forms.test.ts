import { expect, test } from 'vitest';
import { comparableDn, parentOf, rebased } from '../../../connectors/directory/distinguished-name.ts';
import { parseSchema } from '../../../connectors/ldap/schema.ts';

test.each([
  ['uid=Ada,ou=People,dc=corp', 'UID=ada,OU=people,DC=CORP'],
  ['cn=a\\2cb,dc=corp', 'cn=a\\,b, dc=corp'],
  ['cn = Ada , dc = corp', 'cn=ada,dc=corp'],
  ['cn=\\C5\\81ucja,dc=corp', 'cn=Łucja,dc=corp'],
])('%s and %s are the same name', (one, other) => {
  expect(comparableDn(one)).toBe(comparableDn(other));
});

test('names above, and names after a rename', () => {
  expect(parentOf('cn=a\\,b,ou=x,dc=corp')).toBe('ou=x,dc=corp');
  expect(parentOf('dc=corp')).toBe('');
  expect(rebased('uid=a\\,b,ou=deep,ou=x,dc=corp', 'OU=X,dc=corp', 'ou=y,dc=corp')).toBe('uid=a\\,b,ou=deep,ou=y,dc=corp');
  expect(rebased('ou=x,dc=corp', 'ou=x,dc=corp', 'ou=y,dc=corp')).toBe('ou=y,dc=corp');
});

test('a schema tells of each name of an attribute its form and whether it has one value', () => {
  const schema = parseSchema([
    "( 2.5.4.41 NAME 'name' DESC 'common SUP SINGLE-VALUE' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15{32768} )",
    "( 2.5.4.4 NAME ( 'sn' 'surname' ) SUP name )",
    "( 2.16.840.1.113730.3.1.241 NAME 'displayName' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )",
    "( 2.5.4.49 NAME 'distinguishedName' SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )",
    "( 2.5.4.31 NAME 'member' SUP distinguishedName )",
    "( 2.5.4.50 NAME 'uniqueMember' SYNTAX 1.3.6.1.4.1.1466.115.121.1.34 )",
    "( 1.1.1 NAME 'loop' SUP loop )",
  ]);
  expect(schema.get('surname')).toEqual({ name: 'sn', form: 'text', single: false });
  expect(schema.get('displayname')).toEqual({ name: 'displayName', form: 'text', single: true });
  expect(schema.get('member')).toMatchObject({ form: 'dn', single: false });
  expect(schema.get('uniquemember')).toMatchObject({ form: 'dn' });
  expect(schema.get('loop')).toMatchObject({ form: 'text' });
  expect(schema.get('other')).toBeUndefined();
});
