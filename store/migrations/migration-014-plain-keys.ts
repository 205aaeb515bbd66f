import { Migration } from '@mikro-orm/migrations';

/**
 * The key of one value, as `correlation_keys` makes it, as an expression that becomes part of the statement. Calling PL/pgSQL takes several
 * times as long, and most values need little of what is done there: letters, digits and punctuation of ASCII have no spaces and no accents.
 */
export class Migration014PlainKeys extends Migration {
  override name = '014-plain-keys';

  override up(): void {
    this.addSql(`create function tidemark.bounded_key(key text) returns text language plpgsql immutable as $$
      begin return case when length(key) > 200 then left(key, 100) || md5(key) else key end; end
    $$`);
    this.addSql(`create function tidemark.correlation_key(value text, how text[]) returns text language sql immutable as $$
      select case
        when value ~ '[^!-~]' or length(value) > 200 or how && '{digits,unpadded}' and value ~ '[^0-9]'
          then tidemark.bounded_key(tidemark.normalized(value, how))
        when 'unpadded' = any(how) then ltrim(value, '0')
        when 'lower' = any(how) then lower(value)
        else value end
    $$`);
    this.addSql(
      `comment on function tidemark.correlation_key is 'What an object is compared by for the value of one attribute; null or empty if by nothing.'`,
    );
  }

  override down(): void {
    this.addSql(`drop function tidemark.correlation_key`);
    this.addSql(`drop function tidemark.bounded_key`);
  }
}
