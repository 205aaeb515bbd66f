import { Migration } from '@mikro-orm/migrations';

const staged = ['staged_item', 'staged_link', 'staged_touched', 'staged_mapping', 'staged_verdict'];

/**
 * What runs are counted by. Each transaction that writes change rows says how many in `run_count`, so that a run's end need not read them all;
 * `staged_attempt` has a row of each attempt that stages, older than anything that the attempt has staged.
 */
export class Migration010Counts extends Migration {
  override name = '010-counts';

  override up(): void {
    this.addSql(`create table tidemark.run_count (
      run_id bigint not null references tidemark.sync_run on delete cascade,
      stream text collate "C",
      kind text not null,
      changes bigint not null
    )`);
    this.addSql(
      `comment on table tidemark.run_count is 'Change rows by transaction, until their run has succeeded: of objects by stream, of links without.'`,
    );
    this.addSql(`create index run_count_by_run on tidemark.run_count (run_id)`);
    this.addSql(`create unlogged table tidemark.staged_attempt (
      run_id bigint not null,
      token text not null,
      primary key (run_id, token)
    )`);
    // What is looked up by id is found by the id alone; keeping ids in order took as long as writing the rows.
    this.addSql(`drop index tidemark.staged_item_by_source`);
    this.addSql(`create index staged_item_by_source on tidemark.staged_item using hash (source_id)`);
    // Rows that go with their run need neither freezing nor a visibility map.
    for (const table of staged) this.addSql(`alter table tidemark.${table} set (autovacuum_vacuum_insert_threshold = -1)`);
  }

  override down(): void {
    this.addSql(`drop index tidemark.staged_item_by_source`);
    this.addSql(`create index staged_item_by_source on tidemark.staged_item (run_id, source_id)`);
    for (const table of staged) this.addSql(`alter table tidemark.${table} reset (autovacuum_vacuum_insert_threshold)`);
    this.addSql(`drop table tidemark.staged_attempt`);
    this.addSql(`drop table tidemark.run_count`);
  }
}
