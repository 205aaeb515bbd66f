import type pg from 'pg';

/** An identity with the objects that belong to it. */
export interface Identity {
  /** The identity's number; it stays the same as long as the person can be told to be the same. */
  readonly id: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly objects: readonly IdentityMember[];
  readonly createdAt: string;
  readonly updatedAt: string;
}

export interface ObjectName {
  readonly integration: string;
  readonly stream: string;
  readonly sourceId: string;
}

export interface IdentityMember extends ObjectName {
  /** The join rule, `decision`, or null for the object that the identity is of. */
  readonly rule: string | null;
}

/** An object that takes part and belongs to no identity. */
export interface Unjoined extends ObjectName {
  /** `ambiguous`: it fits several, and waits for a person to decide; `unjoined`: it fits none. */
  readonly state: 'ambiguous' | 'unjoined';
  readonly rule: string | null;
  /** Numbers of the identities that it fits. */
  readonly candidates: readonly string[];
}

const pageSize = 1_000;

/** Streams the identities in the order of their numbers. */
export async function* readIdentities(client: pg.Pool): AsyncGenerator<Identity> {
  for (let after = '0'; ; ) {
    const { rows } = await client.query<Identity>(
      `select i.id, i.attributes, to_json(i.created_at) #>> '{}' as "createdAt", to_json(i.updated_at) #>> '{}' as "updatedAt", m.objects
         from (select t.* from tidemark.identity t where t.id > $1 and t.ended_at is null order by t.id limit ${pageSize}) i
         cross join lateral (
           select coalesce(json_agg(json_build_object('integration', o.integration_id, 'stream', o.stream, 'sourceId', o.source_id, 'rule', e.rule)
                                    order by e.level, o.source_id), '[]') as objects
             from tidemark.identity_object e join tidemark.object o on o.id = e.object_id where e.anchor_id = i.anchor_id) m
        order by i.id`,
      [after],
    );
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < pageSize) return;
    after = last.id;
  }
}

/** Streams the objects that belong to no identity. */
export async function* readUnjoined(client: pg.Pool, state: Unjoined['state']): AsyncGenerator<Unjoined> {
  for (let after = '0'; ; ) {
    const { rows } = await client.query<Unjoined & { readonly id: string }>(
      `select e.object_id as id, e.state, e.rule, o.integration_id as integration, o.stream, o.source_id as "sourceId",
              coalesce((select array_agg(t.id::text order by t.id) from tidemark.identity t where t.anchor_id = any(e.candidates)), '{}') as candidates
         from tidemark.identity_object e join tidemark.object o on o.id = e.object_id
        where e.object_id > $1 and e.state = $2 order by e.object_id limit ${pageSize}`,
      [after, state],
    );
    for (const { id, ...row } of rows) {
      after = id;
      yield row;
    }
    if (rows.length < pageSize) return;
  }
}

/** Why an identity is as it is. */
export interface IdentityExplanation {
  readonly id: string;
  /** ISO 8601; null while the person is there. */
  readonly endedAt: string | null;
  readonly objects: readonly ExplainedMember[];
  readonly attributes: Readonly<Record<string, ExplainedValue>>;
  /** Decisions of people on objects that belong to it, in force, oldest first. */
  readonly decisions: readonly RecordedIdentityDecision[];
}

export interface ExplainedMember extends IdentityMember {
  /** The object that it was joined by; null for the one that the identity is of. */
  readonly via: ObjectName | null;
}

export interface ExplainedValue {
  readonly value: unknown;
  /** `hr/people.building -> hr/buildings.code -> name`. */
  readonly rule: string;
  readonly object: ObjectName | null;
  /** The other object that the value was looked up in. */
  readonly lookedUp?: ObjectName | null;
}

export interface RecordedIdentityDecision {
  readonly kind: 'join' | 'split';
  readonly object: ObjectName | null;
  readonly other: ObjectName | null;
  readonly by: string;
  readonly why: string;
  readonly at: string;
}

/** The story of one identity, by its number; undefined if there never was one. */
export async function explainIdentity(client: pg.Pool, id: string): Promise<IdentityExplanation | undefined> {
  if (!/^\d{1,18}$/.test(id)) return undefined;
  const { rows } = await client.query<
    Omit<IdentityExplanation, 'attributes'> & { readonly attributes: IdentityExplanation['attributes'] | null }
  >(
    `with named as not materialized (
       select o.id, json_build_object('integration', o.integration_id, 'stream', o.stream, 'sourceId', o.source_id) as name, o.source_id
         from tidemark.object o)
     select i.id, to_json(i.ended_at) #>> '{}' as "endedAt",
            (select coalesce(json_agg((n.name::jsonb || jsonb_build_object('rule', e.rule, 'via', (select v.name from named v where v.id = e.via_id)))
                                      order by e.level, n.source_id), '[]')
               from tidemark.identity_object e join named n on n.id = e.object_id where e.anchor_id = i.anchor_id) as objects,
            (select json_object_agg(a.key, jsonb_build_object(
                      'value', a.value, 'rule', i.origins -> a.key ->> 'rule',
                      'object', (select v.name from named v where v.id = (i.origins -> a.key ->> 'object')::bigint))
                      || case when i.origins -> a.key ? 'lookedUp'
                              then jsonb_build_object('lookedUp', (select v.name from named v where v.id = (i.origins -> a.key ->> 'lookedUp')::bigint))
                              else '{}' end order by a.key)
               from jsonb_each(i.attributes) a) as attributes,
            (select coalesce(json_agg(json_build_object(
                      'kind', d.kind, 'object', (select v.name from named v where v.id = d.object_id),
                      'other', (select v.name from named v where v.id = d.other_id), 'by', d.decided_by, 'why', d.why, 'at', d.decided_at) order by d.id), '[]')
               from tidemark.identity_decision d
              where d.superseded_at is null
                and (d.other_id = i.anchor_id or d.object_id = i.anchor_id
                     or exists (select from tidemark.identity_object e where e.anchor_id = i.anchor_id and e.object_id in (d.object_id, d.other_id)))) as decisions
       from tidemark.identity i where i.id = $1`,
    [id],
  );
  const found = rows[0];
  return found && { ...found, attributes: found.attributes ?? {} };
}

/** Whose an object is: the number of its identity, or what stands in the way. */
export interface WhoseObject {
  readonly state: 'joined' | 'ambiguous' | 'unjoined' | 'out';
  readonly identity: string | null;
  /** Numbers of the identities that it fits, if it fits several. */
  readonly candidates: readonly string[];
}

/** Undefined for an object that identities do not know. */
export async function findWhose(client: pg.Pool, { integration, stream, sourceId }: ObjectName): Promise<WhoseObject | undefined> {
  const { rows } = await client.query<WhoseObject>(
    `select case e.state when 'anchor' then 'joined' else e.state end as state,
            (select t.id::text from tidemark.identity t where t.anchor_id = e.anchor_id) as identity,
            coalesce((select array_agg(t.id::text order by t.id) from tidemark.identity t where t.anchor_id = any(e.candidates)), '{}') as candidates
       from tidemark.object o join tidemark.identity_object e on e.object_id = o.id
      where o.integration_id = $1 and o.stream = $2 and o.source_id = $3`,
    [integration, stream, sourceId],
  );
  return rows[0];
}
