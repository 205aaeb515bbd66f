import { Migration } from '@mikro-orm/migrations';

/** Staged rows of objects that the read itself has created: their content is in `object` already. */
export class Migration013Created extends Migration {
  override name = '013-created';

  override up(): void {
    this.addSql(`alter table tidemark.staged_item drop constraint staged_item_kind_check`);
    this.addSql(`alter table tidemark.staged_item add constraint staged_item_kind_check
      check (kind in ('object', 'created', 'stored', 'present', 'gone', 'unmatched', 'out-of-scope', 'absent', 'unknown'))`);
  }

  override down(): void {
    this.addSql(`delete from tidemark.staged_item where kind = 'created'`);
    this.addSql(`alter table tidemark.staged_item drop constraint staged_item_kind_check`);
    this.addSql(`alter table tidemark.staged_item add constraint staged_item_kind_check
      check (kind in ('object', 'stored', 'present', 'gone', 'unmatched', 'out-of-scope', 'absent', 'unknown'))`);
  }
}
