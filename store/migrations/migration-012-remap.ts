import { Migration } from '@mikro-orm/migrations';

/**
 * Markers keep what they were taken with in parts, so that a change of the mapping alone leads to a remap of what is stored. Markers from
 * before match no configuration: the next run of each stream is complete, and says so.
 */
export class Migration012Remap extends Migration {
  override name = '012-remap';

  override up(): void {
    this.addSql(`alter table tidemark.marker add scope text not null default '', add mapping_version text not null default ''`);
    this.addSql(`alter table tidemark.marker alter scope drop default, alter mapping_version drop default`);
    this.addSql(`alter table tidemark.staged_item drop constraint staged_item_kind_check`);
    this.addSql(`alter table tidemark.staged_item add constraint staged_item_kind_check
      check (kind in ('object', 'stored', 'present', 'gone', 'unmatched', 'out-of-scope', 'absent', 'unknown'))`);
  }

  override down(): void {
    this.addSql(`delete from tidemark.staged_item where kind = 'stored'`);
    this.addSql(`alter table tidemark.staged_item drop constraint staged_item_kind_check`);
    this.addSql(`alter table tidemark.staged_item add constraint staged_item_kind_check
      check (kind in ('object', 'present', 'gone', 'unmatched', 'out-of-scope', 'absent', 'unknown'))`);
    this.addSql(`alter table tidemark.marker drop scope, drop mapping_version`);
  }
}
