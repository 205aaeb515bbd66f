import { Migration } from '@mikro-orm/migrations';

/**
 * The tables and views. Ids that sources give compare bytewise (`collate "C"`), whatever the database's locale. The bulk tables (object, link,
 * unresolved_link, change) have no foreign keys: their rows come only from joins with the rows they refer to, under the fence, and a check
 * of each row by itself takes longer than writing it.
 */
export class Migration001Initial extends Migration {
  override name = '001-initial';

  override up(): void {
    this.addSql(`create schema if not exists tidemark`);

    this.addSql(`create table tidemark.integration (
      id text collate "C" primary key,
      connector text not null,
      config_id bigint,
      run_epoch bigint not null default 0,
      claimed_by text,
      claimed_run bigint,
      step_tokens jsonb not null default '{}',
      created_at timestamptz not null default now(),
      removed_at timestamptz
    )`);
    this.addSql(`create table tidemark.integration_config (
      id bigint generated always as identity primary key,
      integration_id text collate "C" not null references tidemark.integration,
      digest text not null,
      config jsonb not null,
      created_at timestamptz not null default now(),
      unique (integration_id, digest)
    )`);
    this.addSql(`alter table tidemark.integration add foreign key (config_id) references tidemark.integration_config`);

    this.addSql(`create table tidemark.sync_run (
      id bigint generated always as identity primary key,
      integration_id text collate "C" not null,
      workflow_id text not null,
      temporal_run_id text not null unique,
      launcher_id text,
      requested_mode text not null,
      requested_streams text[],
      mode text,
      outcome text not null check (outcome in ('running', 'succeeded', 'failed', 'skipped', 'cancelled')),
      reason text,
      failure jsonb,
      config_id bigint references tidemark.integration_config,
      requested_at timestamptz not null,
      begun_at timestamptz,
      started_at timestamptz not null default now(),
      finished_at timestamptz,
      sealed boolean not null default false,
      steps jsonb not null default '{}',
      streams jsonb not null default '{}',
      links jsonb not null default '{}',
      decision jsonb,
      drift jsonb
    )`);
    this.addSql(`create index sync_run_by_integration on tidemark.sync_run (integration_id, id)`);
    this.addSql(`create index sync_run_by_end on tidemark.sync_run (integration_id, finished_at)`);
    this.addSql(`create index sync_run_open on tidemark.sync_run (integration_id) where outcome = 'running'`);

    this.addSql(`create table tidemark.marker (
      integration_id text collate "C" not null references tidemark.integration,
      stream text collate "C" not null,
      kind text not null,
      position text not null,
      server_id text not null,
      server_name text not null,
      fingerprint text not null,
      taken_at timestamptz not null,
      run_id bigint not null references tidemark.sync_run,
      complete_at timestamptz not null,
      version bigint not null default 1,
      primary key (integration_id, stream)
    )`);

    this.addSql(`create table tidemark.object (
      id bigint generated always as identity primary key,
      integration_id text collate "C" not null,
      stream text collate "C" not null,
      source_id text collate "C" not null,
      key text,
      attributes jsonb not null,
      source jsonb not null,
      source_hash bytea,
      mapping_version text not null,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now(),
      deactivated_at timestamptz,
      deleted_at timestamptz,
      deleted_reason text check (deleted_reason in ('gone', 'absent', 'out-of-scope')),
      unique (integration_id, source_id, stream)
    )`);

    this.addSql(`create index object_deleted on tidemark.object (integration_id, deleted_at) where deleted_at is not null`);
    this.addSql(`create table tidemark.link (
      from_id bigint not null,
      kind text collate "C" not null,
      to_id bigint not null,
      primary key (from_id, kind, to_id)
    )`);
    this.addSql(`create index link_by_target on tidemark.link (to_id)`);
    // Apart from the object: it is written after the links, and writing an object's row anew costs as much as inserting it.
    this.addSql(`create table tidemark.links_state (
      object_id bigint primary key,
      links_hash bytea not null
    )`);
    this.addSql(`create table tidemark.unresolved_link (
      from_id bigint not null,
      kind text collate "C" not null,
      target text collate "C" not null,
      integration_id text collate "C" not null,
      primary key (from_id, kind, target)
    )`);
    this.addSql(`create index unresolved_link_by_target on tidemark.unresolved_link (integration_id, target)`);

    this.addSql(`create table tidemark.change (
      id bigint generated always as identity,
      run_id bigint not null,
      object_id bigint not null,
      kind text not null check (kind in ('created', 'updated', 'deactivated', 'deleted', 'restored', 'link-added', 'link-removed')),
      before jsonb,
      after jsonb,
      link text,
      target_id bigint,
      at timestamptz not null default now(),
      primary key (run_id, id)
    )`);

    // What limits count over a day: removals are few, so this index costs a first sync nothing.
    this.addSql(
      `create index change_removals on tidemark.change (run_id, object_id) where kind in ('deleted', 'deactivated', 'link-removed')`,
    );
    // One row: its lock orders publications, so a position never becomes visible behind one that a reader has passed.
    this.addSql(`create table tidemark.feed (
      id text primary key default left(gen_random_uuid()::text, 8),
      last_position bigint not null default 0,
      oldest_position bigint not null default 1
    )`);
    this.addSql(`create unique index feed_one_row on tidemark.feed ((true))`);
    this.addSql(`create table tidemark.feed_entry (
      position bigint primary key,
      tag text not null default left(gen_random_uuid()::text, 8),
      run_id bigint not null,
      integration_id text collate "C" not null,
      after_change bigint not null,
      last_change bigint not null,
      published_at timestamptz not null default clock_timestamp()
    )`);
    this.addSql(`create index feed_entry_by_run on tidemark.feed_entry (run_id)`);
    this.addSql(`insert into tidemark.feed default values`);
    // The position before the first publication: what a cursor taken from an empty feed refers to.
    this.addSql(`insert into tidemark.feed_entry (position, run_id, integration_id, after_change, last_change) values (0, 0, '', 0, 0)`);

    this.addSql(`create table tidemark.quarantine (
      integration_id text collate "C" not null references tidemark.integration,
      stream text collate "C" not null,
      source_id text collate "C" not null,
      reason text not null,
      fingerprint bytea,
      first_run_id bigint not null,
      last_run_id bigint not null,
      first_at timestamptz not null default now(),
      primary key (integration_id, stream, source_id)
    )`);

    this.addSql(`create table tidemark.held_deletion (
      id bigint generated always as identity primary key,
      integration_id text collate "C" not null references tidemark.integration,
      stream text collate "C" not null,
      object_id bigint not null references tidemark.object,
      link text,
      target_id bigint references tidemark.object,
      reason text not null,
      limit_exceeded text not null,
      first_run_id bigint not null,
      last_run_id bigint not null,
      held_at timestamptz not null default now(),
      unique nulls not distinct (object_id, link, target_id)
    )`);
    this.addSql(`create index held_deletion_by_integration on tidemark.held_deletion (integration_id, stream)`);

    // What people were shown, so that a decision is about exactly that; and what became of each row that was decided on.
    this.addSql(`create table tidemark.held_plan (
      digest text primary key,
      integration_id text collate "C" not null references tidemark.integration,
      stream text collate "C" not null,
      what text not null check (what in ('objects', 'members')),
      held_ids bigint[] not null,
      shown_at timestamptz not null default now()
    )`);
    this.addSql(`create table tidemark.decided_deletion (
      run_id bigint not null references tidemark.sync_run on delete cascade,
      held_id bigint not null,
      stream text collate "C" not null,
      object_id bigint not null,
      link text collate "C",
      target_id bigint,
      outcome text check (outcome in ('applied', 'withdrawn', 'kept', 'declined')),
      primary key (run_id, held_id)
    )`);

    this.addSql(`create unlogged table tidemark.staged_item (
      run_id bigint not null,
      token text not null,
      seq bigint not null,
      stream text collate "C" not null,
      kind text not null check (kind in ('object', 'present', 'gone', 'unmatched', 'out-of-scope', 'absent', 'unknown')),
      source_id text collate "C" not null,
      key text,
      attributes jsonb,
      source_hash bytea,
      links_hash bytea,
      link_kinds text[],
      reason text
    )`);
    this.addSql(`create index staged_item_by_run on tidemark.staged_item (run_id, seq)`);
    // Absence and arrivals are looked up by id: without this a plan made on old statistics compares every object with every staged item.
    this.addSql(`create index staged_item_by_source on tidemark.staged_item (run_id, source_id)`);
    this.addSql(`create unlogged table tidemark.staged_link (
      run_id bigint not null,
      token text not null,
      seq bigint not null,
      kind text collate "C" not null,
      target text collate "C" not null
    )`);
    this.addSql(`create index staged_link_by_run on tidemark.staged_link (run_id, seq)`);
    this.addSql(`create unlogged table tidemark.staged_touched (
      run_id bigint not null,
      token text not null,
      source_id text collate "C" not null
    )`);
    this.addSql(`create index staged_touched_by_run on tidemark.staged_touched (run_id)`);
    this.addSql(`create unlogged table tidemark.staged_mapping (
      run_id bigint not null,
      token text not null,
      seq bigint not null,
      kind text not null check (kind in ('mapped', 'out-of-scope', 'problem')),
      attributes jsonb,
      reason text
    )`);
    this.addSql(`create index staged_mapping_by_run on tidemark.staged_mapping (run_id, seq)`);
    this.addSql(`create unlogged table tidemark.staged_verdict (
      run_id bigint not null,
      token text not null,
      seq bigint not null,
      stream text collate "C" not null,
      source_id text collate "C" not null,
      object_id bigint,
      verdict text not null,
      links boolean not null,
      members boolean not null,
      reason text
    )`);
    this.addSql(`create index staged_verdict_by_run on tidemark.staged_verdict (run_id, seq)`);

    // Filled and emptied by every run: vacuumed after a fixed number of dead rows, without pauses. The large tables change a little at a time.
    for (const table of ['staged_item', 'staged_link', 'staged_touched', 'staged_mapping', 'staged_verdict']) {
      this.addSql(`alter table tidemark.${table} set (
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0)`);
    }
    for (const table of ['object', 'link', 'change']) {
      this.addSql(`alter table tidemark.${table} set (autovacuum_vacuum_scale_factor = 0.05)`);
    }

    this.addSql(`create function tidemark.differing(a jsonb, b jsonb) returns jsonb language sql immutable as $$
      select coalesce(jsonb_object_agg(e.key, e.value), '{}') from jsonb_each(a) e where b -> e.key is distinct from e.value
    $$`);
    this.addSql(`comment on function tidemark.differing is 'The entries of a that b does not have with the same value.'`);

    // With settings of its own: where the planner takes a run for small, it sorts the whole rest of it for each page.
    this.addSql(`create function tidemark.change_page(of_run bigint, after_change bigint, last_change bigint, page_size int) returns setof tidemark.change
      language sql stable set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
      select c.* from tidemark.change c where c.run_id = of_run and c.id > after_change and c.id <= last_change order by c.run_id, c.id limit page_size
    $$`);
    this.addSql(`comment on function tidemark.change_page is 'A page of the change rows of one run, in the order of their ids.'`);

    this.addSql(`create view tidemark.accounts as
      select o.id, o.integration_id as integration, o.source_id, o.key,
             o.attributes ->> 'userName' as user_name,
             coalesce((o.attributes ->> 'active')::boolean, true) as active,
             o.attributes ->> 'displayName' as display_name,
             o.attributes ->> 'givenName' as given_name,
             o.attributes ->> 'familyName' as family_name,
             o.attributes ->> 'email' as email,
             o.attributes ->> 'title' as title,
             o.attributes ->> 'department' as department,
             o.attributes ->> 'employeeNumber' as employee_number,
             (select m.source_id from tidemark.link l join tidemark.object m on m.id = l.to_id
               where l.from_id = o.id and l.kind = 'manager' limit 1) as manager_source_id,
             o.attributes, o.deactivated_at, o.created_at, o.updated_at
        from tidemark.object o
       where o.stream = 'users' and o.deleted_at is null`);
    this.addSql(`create view tidemark.groups as
      select o.id, o.integration_id as integration, o.source_id, o.key,
             o.attributes ->> 'displayName' as display_name,
             o.attributes ->> 'description' as description,
             o.attributes, o.deactivated_at, o.created_at, o.updated_at
        from tidemark.object o
       where o.stream = 'groups' and o.deleted_at is null`);
    this.addSql(`create view tidemark.memberships as
      select g.integration_id as integration, l.kind,
             g.id as group_id, g.source_id as group_source_id, m.id as member_id, m.stream as member_stream, m.source_id as member_source_id
        from tidemark.link l join tidemark.object g on g.id = l.from_id join tidemark.object m on m.id = l.to_id
       where l.kind = 'member' and g.deleted_at is null and m.deleted_at is null
      union all
      select u.integration_id, l.kind, g.id, g.source_id, u.id, u.stream, u.source_id
        from tidemark.link l join tidemark.object u on u.id = l.from_id join tidemark.object g on g.id = l.to_id
       where l.kind = 'primaryGroup' and g.deleted_at is null and u.deleted_at is null`);
  }

  override down(): void {
    this.addSql(`drop schema tidemark cascade`);
  }
}
