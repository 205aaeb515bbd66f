import { Migration } from '@mikro-orm/migrations';

/**
 * Keys and dependencies are found by whose they are: an index that also holds rule and key is twice as large, and nothing looks there for
 * them. That they stand there once follows from how they are written: an object and an anchor are in one range only, under the run's lock.
 */
export class Migration016KeyLists extends Migration {
  override name = '016-key-lists';

  override up(): void {
    this.addSql(`alter table tidemark.identity_key drop constraint identity_key_pkey`);
    this.addSql(`create index identity_key_by_object on tidemark.identity_key (object_id)`);
    this.addSql(`alter table tidemark.identity_dependency drop constraint identity_dependency_pkey`);
    this.addSql(`create index identity_dependency_by_anchor on tidemark.identity_dependency (anchor_id)`);
  }

  override down(): void {
    this.addSql(`drop index tidemark.identity_dependency_by_anchor`);
    this.addSql(`alter table tidemark.identity_dependency add primary key (anchor_id, rule, key)`);
    this.addSql(`drop index tidemark.identity_key_by_object`);
    this.addSql(`alter table tidemark.identity_key add primary key (object_id, rule, key)`);
  }
}
