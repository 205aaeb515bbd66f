import { Migration } from '@mikro-orm/migrations';

/** What is stored as a page gave it stands in staging by the id of its object, in one row a page and no longer in one an object. */
export class Migration015Seen extends Migration {
  override name = '015-seen';

  override up(): void {
    this.addSql(`create unlogged table tidemark.staged_seen (
      run_id bigint not null,
      token text not null,
      seq bigint not null,
      stream text collate "C" not null,
      kind text not null check (kind in ('present', 'created', 'linked')),
      object_ids bigint[] not null,
      seqs bigint[] not null,
      links_hashes bytea,
      link_places int[],
      link_kinds text[],
      link_targets text[]
    )`);
    this.addSql(
      `comment on column tidemark.staged_seen.links_hashes is 'Of objects that were created, 16 bytes each, zeros where nothing was said of links.'`,
    );
    this.addSql(
      `comment on column tidemark.staged_seen.link_places is 'Of each link of objects that were created the place of its object in the list, from 1.'`,
    );
    this.addSql(`create index staged_seen_by_run on tidemark.staged_seen (run_id, seq)`);
    // Compressing a list takes longer than writing it.
    for (const column of ['object_ids', 'seqs', 'links_hashes', 'link_places', 'link_kinds', 'link_targets']) {
      this.addSql(`alter table tidemark.staged_seen alter ${column} set storage external`);
    }
    this.addSql(`alter table tidemark.staged_seen set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
      autovacuum_vacuum_cost_delay = 0, autovacuum_vacuum_insert_threshold = -1)`);
    // Runs that are open have staged in the former way: they notice, and read again.
    this.addSql(`truncate tidemark.staged_attempt, tidemark.staged_item`);
    this.addSql(`alter table tidemark.staged_item drop constraint staged_item_kind_check`);
    this.addSql(`alter table tidemark.staged_item add constraint staged_item_kind_check
      check (kind in ('object', 'created', 'stored', 'gone', 'unmatched', 'out-of-scope', 'absent', 'unknown'))`);
  }

  override down(): void {
    this.addSql(`truncate tidemark.staged_attempt`);
    this.addSql(`alter table tidemark.staged_item drop constraint staged_item_kind_check`);
    this.addSql(`alter table tidemark.staged_item add constraint staged_item_kind_check
      check (kind in ('object', 'created', 'stored', 'present', 'gone', 'unmatched', 'out-of-scope', 'absent', 'unknown'))`);
    this.addSql(`drop table tidemark.staged_seen`);
  }
}
