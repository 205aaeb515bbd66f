import { Migration } from '@mikro-orm/migrations';

/**
 * Totals that only grow, for metrics: runs are removed after their retention, and counting them would read them all. Runs end in many
 * places; a trigger counts each once, in the transaction that ends it. Dry runs are not counted.
 */
export class Migration005RunTotals extends Migration {
  override name = '005-run-totals';

  override up(): void {
    this.addSql(`create table tidemark.run_total (
      integration_id text collate "C" not null,
      what text collate "C" not null,
      label text collate "C" not null,
      value bigint not null,
      primary key (integration_id, what, label)
    )`);
    this.addSql(`comment on table tidemark.run_total is
      'runs by outcome; timed, ms by mode, of runs that succeeded; read, created ..., drift by stream; links by added, removed'`);
    // Sorted, so that runs of one integration that end at once lock its rows in one order.
    this.addSql(`create function tidemark.count_run() returns trigger language plpgsql as $$
      begin
        insert into tidemark.run_total as t (integration_id, what, label, value)
        select new.integration_id, e.what, e.label, e.value
          from (select 'runs' as what, new.outcome as label, 1::bigint as value
                union all
                select d.what, new.mode, d.value
                  from (values ('timed', 1::bigint), ('ms', round(extract(epoch from new.finished_at - new.started_at) * 1000)::bigint)) as d (what, value)
                 where new.outcome = 'succeeded' and new.mode is not null
                union all
                select w.what, s.key, (s.value ->> w.what)::bigint
                  from jsonb_each(new.streams) s,
                       unnest(array['read', 'created', 'updated', 'deleted', 'deactivated', 'restored']) as w (what)
                union all
                select 'links', l.key, l.value::bigint from jsonb_each_text(new.links) l where l.key in ('added', 'removed')
                union all
                select 'drift', s.key, sum((w.value ->> 'objects')::bigint)
                  from jsonb_each(coalesce(new.drift, '{}')) s cross join lateral jsonb_each(s.value) w group by s.key) e
         where e.value > 0
         order by e.what, e.label
        on conflict (integration_id, what, label) do update set value = t.value + excluded.value;
        return null;
      end $$`);
    this.addSql(`create trigger count_inserted_run after insert on tidemark.sync_run for each row
      when (new.outcome <> 'running' and not new.dry_run) execute function tidemark.count_run()`);
    this.addSql(`create trigger count_ended_run after update of outcome on tidemark.sync_run for each row
      when (old.outcome = 'running' and new.outcome <> 'running' and not new.dry_run) execute function tidemark.count_run()`);
  }

  override down(): void {
    this.addSql(`drop trigger count_inserted_run on tidemark.sync_run`);
    this.addSql(`drop trigger count_ended_run on tidemark.sync_run`);
    this.addSql(`drop function tidemark.count_run()`);
    this.addSql(`drop table tidemark.run_total`);
  }
}
