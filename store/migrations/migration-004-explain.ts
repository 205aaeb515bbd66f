import { Migration } from '@mikro-orm/migrations';

/** Questions of `explain` and their answers: they hold personal data, so they pass through here, for minutes, and not through Temporal. */
export class Migration004Explain extends Migration {
  override name = '004-explain';

  override up(): void {
    this.addSql(`create table tidemark.explain_request (
      id bigint generated always as identity primary key,
      integration_id text collate "C" not null,
      stream text collate "C" not null,
      key text not null,
      answer jsonb,
      asked_at timestamptz not null default now()
    )`);
  }

  override down(): void {
    this.addSql(`drop table tidemark.explain_request`);
  }
}
