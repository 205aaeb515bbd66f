import { Migration } from '@mikro-orm/migrations';

/** Quarantined items can be asked to be tried again: `retry_run_id` is the run that has taken the wish up. */
export class Migration002QuarantineRetry extends Migration {
  override name = '002-quarantine-retry';

  override up(): void {
    this.addSql(`alter table tidemark.quarantine add retry_asked_at timestamptz, add retry_run_id bigint`);
  }

  override down(): void {
    this.addSql(`alter table tidemark.quarantine drop retry_asked_at, drop retry_run_id`);
  }
}
