import { Migration } from '@mikro-orm/migrations';

/**
 * Identities: who they are (`identity`), which objects belong to them and why (`identity_object`), what objects are compared by
 * (`identity_key`), what values depend on (`identity_dependency`), what people decided (`identity_decision`), and two queues of what is to be
 * evaluated again. An identity is that of one object, its anchor; all else refers to the anchor, so that it can be computed anew without
 * knowing how identities are numbered. Like the other bulk tables they have no foreign keys.
 */
export class Migration008Identities extends Migration {
  override name = '008-identities';

  override up(): void {
    this.addSql(`create table tidemark.identity (
      id bigint generated always as identity primary key,
      anchor_id bigint not null unique,
      attributes jsonb not null,
      origins jsonb not null,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now(),
      ended_at timestamptz
    )`);
    this.addSql(`comment on column tidemark.identity.origins is
      'By attribute: the object that gave it, the rule, and for a looked-up value the object looked up.'`);

    this.addSql(`create table tidemark.identity_object (
      object_id bigint primary key,
      level smallint not null,
      state text not null check (state in ('anchor', 'joined', 'ambiguous', 'unjoined', 'out')),
      anchor_id bigint,
      former_anchor_id bigint,
      rule text collate "C",
      via_id bigint,
      candidates bigint[]
    )`);
    this.addSql(`create index identity_object_by_anchor on tidemark.identity_object (anchor_id) where anchor_id is not null`);
    this.addSql(`create index identity_object_waiting on tidemark.identity_object (object_id) where state = 'ambiguous'`);
    this.addSql(
      `comment on column tidemark.identity_object.level is 'The place of its source in the configuration; 0 for objects that are only looked up.'`,
    );

    this.addSql(`create table tidemark.identity_key (
      object_id bigint not null,
      rule text collate "C" not null,
      key text collate "C" not null,
      level smallint not null,
      primary key (object_id, rule, key)
    )`);
    this.addSql(`create index identity_key_by_key on tidemark.identity_key (rule, key, level) include (object_id)`);

    this.addSql(`create table tidemark.identity_dependency (
      anchor_id bigint not null,
      rule text collate "C" not null,
      key text collate "C" not null,
      primary key (anchor_id, rule, key)
    )`);
    this.addSql(`create index identity_dependency_by_key on tidemark.identity_dependency (rule, key) include (anchor_id)`);
    this.addSql(
      `comment on table tidemark.identity_dependency is 'What the values of identities were looked up by, whether or not anything was found.'`,
    );

    this.addSql(`create table tidemark.identity_decision (
      id bigint generated always as identity primary key,
      kind text not null check (kind in ('join', 'split')),
      object_id bigint not null,
      other_id bigint not null,
      decided_by text not null,
      why text not null,
      decided_at timestamptz not null default now(),
      superseded_at timestamptz
    )`);
    this.addSql(`create index identity_decision_in_force on tidemark.identity_decision (object_id, other_id) where superseded_at is null`);

    // Logged: what a change has made doubtful is noted in the transaction that applies it, and outlives the run that was cut off after it.
    this.addSql(`create table tidemark.identity_pending (
      level smallint not null,
      object_id bigint not null,
      changed boolean not null,
      primary key (level, object_id)
    )`);
    this.addSql(`comment on table tidemark.identity_pending is 'Objects to be joined anew; changed: the object itself has changed.'`);
    this.addSql(`create table tidemark.identity_stale (anchor_id bigint primary key)`);
    this.addSql(`comment on table tidemark.identity_stale is 'Anchors, of now or before, whose identity is to be composed anew.'`);
    for (const table of ['identity_pending', 'identity_stale']) {
      this.addSql(`alter table tidemark.${table} set (
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0)`);
    }

    // In PL/pgSQL, as an SQL function with a query in it takes ten times as long for each call.
    this.addSql(`create function tidemark.normalized(value text, how text[]) returns text language plpgsql immutable as $$
      begin
        if 'trim' = any(how) then value := regexp_replace(btrim(value, E' \\t\\r\\n\\u00a0'), '\\s+', ' ', 'g'); end if;
        if 'unaccented' = any(how) then
          value := translate(regexp_replace(normalize(value, NFKD), '[\\u0300-\\u036f]', '', 'g'), 'øØłŁđĐ', 'oOlLdD');
          value := replace(replace(value, 'ß', 'ss'), 'æ', 'ae');
        end if;
        if 'lower' = any(how) then value := lower(value); end if;
        if 'digits' = any(how) then value := regexp_replace(value, '[^0-9]', '', 'g'); end if;
        if 'unpadded' = any(how) then value := ltrim(value, '0'); end if;
        return value;
      end
    $$`);
    // A btree takes keys of up to a third of a page.
    this.addSql(`create function tidemark.correlation_keys(attributes jsonb, names text[], how text[]) returns setof text language plpgsql immutable as $$
      declare
        given jsonb := attributes -> names[1];
        single boolean := cardinality(names) = 1;
        part text;
        key text;
      begin
        if single and jsonb_typeof(given) = 'array' then
          for part in select jsonb_array_elements_text(given) loop
            key := tidemark.normalized(part, how);
            if key <> '' then return next case when length(key) > 200 then left(key, 100) || md5(key) else key end; end if;
          end loop;
          return;
        end if;
        for place in 1 .. cardinality(names) loop
          given := attributes -> names[place];
          part := tidemark.normalized(given #>> '{}', how);
          if part is null or part = '' or jsonb_typeof(given) = 'array' then return; end if;
          key := case when single then part else concat_ws(chr(31), key, part) end;
        end loop;
        return next case when length(key) > 200 then left(key, 100) || md5(key) else key end;
      end
    $$`);
    this.addSql(`comment on function tidemark.correlation_keys is
      'What an object is compared by: each value of one attribute, or the values of several together, if it has them all.'`);
    this.addSql(`create function tidemark.takes_part(attributes jsonb, required jsonb, excluded jsonb) returns boolean language plpgsql immutable as $$
      begin
        if required = '{}' and excluded = '{}' then return true; end if;
        return not exists (select from jsonb_each(required) f where not exists (
                 select from tidemark.correlation_keys(attributes, array[f.key], '{}') k (value) where f.value ? k.value))
           and not exists (select from jsonb_each(excluded) f, tidemark.correlation_keys(attributes, array[f.key], '{}') k (value) where f.value ? k.value);
      end
    $$`);

    this.addSql(`create view tidemark.identities as
      select i.id, i.attributes ->> 'displayName' as display_name, i.attributes ->> 'email' as email, i.attributes, i.origins,
             i.created_at, i.updated_at
        from tidemark.identity i
       where i.ended_at is null`);
    this.addSql(`create view tidemark.identity_members as
      select i.id as identity_id, m.object_id, o.integration_id as integration, o.stream, o.source_id, m.rule
        from tidemark.identity i
        join tidemark.identity_object m on m.anchor_id = i.anchor_id
        join tidemark.object o on o.id = m.object_id
       where i.ended_at is null`);
  }

  override down(): void {
    this.addSql(`drop view tidemark.identity_members`);
    this.addSql(`drop view tidemark.identities`);
    this.addSql(`drop function tidemark.takes_part`);
    this.addSql(`drop function tidemark.correlation_keys`);
    this.addSql(`drop function tidemark.normalized`);
    for (const table of ['stale', 'pending', 'decision', 'dependency', 'key', 'object'])
      this.addSql(`drop table tidemark.identity_${table}`);
    this.addSql(`drop table tidemark.identity`);
  }
}
