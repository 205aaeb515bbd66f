import { Migration } from '@mikro-orm/migrations';

/** Sessions with sources that have a limit: those that are open, and activities that wait in line for one, each with a lease. */
export class Migration006SourceSessions extends Migration {
  override name = '006-source-sessions';

  override up(): void {
    this.addSql(`create table tidemark.source_session (
      id bigint generated always as identity primary key,
      source text collate "C" not null,
      holder text collate "C" not null unique,
      attempt int not null,
      integration_id text collate "C" not null,
      granted_at timestamptz,
      expires_at timestamptz not null
    )`);
    this.addSql(
      `comment on table tidemark.source_session is 'In the order of ids: granted_at is null for who waits. A row counts until expires_at.'`,
    );
    this.addSql(`create index source_session_by_source on tidemark.source_session (source, id)`);
  }

  override down(): void {
    this.addSql(`drop table tidemark.source_session`);
  }
}
