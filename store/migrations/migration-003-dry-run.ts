import { Migration } from '@mikro-orm/migrations';

/** Dry runs: `plan` is what the run would have done, with samples; null for a run that does what it says. */
export class Migration003DryRun extends Migration {
  override name = '003-dry-run';

  override up(): void {
    this.addSql(`alter table tidemark.sync_run add dry_run boolean not null default false, add plan jsonb`);
  }

  override down(): void {
    this.addSql(`alter table tidemark.sync_run drop dry_run, drop plan`);
  }
}
