import { expect } from 'vitest';
import { decide } from '../../../store/identities/decisions.ts';
import { randomNumbers } from '../../conformance/random-changes.ts';
import { type ModelDecision, type ModelObject, modelIdentities } from './model.ts';
import type { IdentityWorld } from './support.ts';

/** Another one each time, unless it is set to make a failure again. */
export const firstSeed = Number(process.env.TIDEMARK_SEED ?? Date.now() % 2 ** 31);

/** Some changes in the three sources: few values, so that people meet and part. */
function changeSources(world: IdentityWorld, next: () => number, changes: number): void {
  const pick = (below: number) => Math.floor(next() * below);
  const maybe = <T>(likely: number, value: () => T): T | undefined => (next() < likely ? value() : undefined);
  for (let change = 0; change < changes; change++) {
    if (next() < 0.12) {
      const id = `b${pick(4)}`;
      if (next() < 0.3) world.remove('hr', id);
      else world.putBuilding(id, defined({ code: maybe(0.9, () => `c${pick(4)}`), cn: maybe(0.9, () => `House ${pick(5)}`) }));
      continue;
    }
    const integration = ['hr', 'partners', 'ad', 'ad'][pick(4)] as string;
    const id = `${integration}-${pick(integration === 'ad' ? 14 : 8)}`;
    if (next() < 0.2) {
      world.remove(integration, id);
      continue;
    }
    const mail = () => `${['Ann', 'ann', 'bo', 'cy', 'di'][pick(5)]}${pick(2)}@example.com`;
    world.put(
      integration,
      id,
      defined({
        number: maybe(0.6, () => `${['', '0', 'N-'][pick(3)]}${1 + pick(7)}`),
        mail: maybe(0.6, mail),
        aliases: maybe(0.6, () => [mail(), mail()]),
        building: maybe(0.6, () => `c${pick(4)}`),
        kind: maybe(0.15, () => (integration === 'ad' ? 'service' : 'test')),
        cn: maybe(0.8, () => `Name ${pick(50)}`),
      }),
    );
  }
}

function defined<T extends object>(attributes: T): { readonly [Key in keyof T]: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined)) as never;
}

/** A person decides something on a random object and identity; what can't be decided is refused. */
async function decideSomething({ pool }: IdentityWorld, next: () => number): Promise<void> {
  const { rows: objects } = await pool.query<{ integration: string; sourceId: string; anchor: string | null }>(
    `select o.integration_id as integration, o.source_id as "sourceId", e.anchor_id as anchor
       from tidemark.identity_object e join tidemark.object o on o.id = e.object_id where o.deleted_at is null order by e.object_id`,
  );
  const { rows: identities } = await pool.query<{ id: string; anchor: string }>(
    `select id, anchor_id as anchor from tidemark.identity where ended_at is null order by id`,
  );
  const object = objects[Math.floor(next() * objects.length)];
  const own = identities.find(({ anchor }) => anchor === object?.anchor);
  const splits = own !== undefined && next() < 0.5;
  const identity = splits ? own : identities[Math.floor(next() * identities.length)];
  if (!object || !identity) return;
  const { integration, sourceId } = object;
  await decide(pool, splits ? 'split' : 'join', {
    integration,
    stream: 'users',
    sourceId,
    identity: identity.id,
    by: 'test',
    why: '',
  }).catch((error: unknown) => expect(error).toMatchObject({ type: 'InvalidConfiguration' }));
}

async function expected({ pool }: IdentityWorld) {
  const { rows: objects } = await pool.query<ModelObject>(
    `select id::int, integration_id as integration, stream, source_id as "sourceId", attributes from tidemark.object where deleted_at is null`,
  );
  const { rows: decisions } = await pool.query<ModelDecision>(
    `select kind, array[object_id, other_id]::int[] as objects from tidemark.identity_decision where superseded_at is null`,
  );
  return modelIdentities(objects, decisions);
}

const derived = ['identity', 'identity_object', 'identity_key', 'identity_dependency', 'identity_pending', 'identity_stale'];

/** What comes of everything when nothing is known of before; then all is put back as it was. */
async function fromScratch(world: IdentityWorld) {
  const { pool } = world;
  for (const table of derived) await pool.query(`create table public.kept_${table} as table tidemark.${table}`);
  await pool.query(`truncate ${derived.map((table) => `tidemark.${table}`).join(', ')}`);
  await world.join('complete');
  const found = { identities: await world.identities(), outside: await world.outside() };
  await pool.query(`truncate ${derived.map((table) => `tidemark.${table}`).join(', ')}`);
  for (const table of derived) {
    await pool.query(`insert into tidemark.${table} ${table === 'identity' ? 'overriding system value' : ''} table public.kept_${table}`);
    await pool.query(`drop table public.kept_${table}`);
  }
  return found;
}

/** Rounds of changes, each followed by deltas; at the end everything computed from scratch. */
export async function compare(world: IdentityWorld, seed: number, rounds: number): Promise<void> {
  const next = randomNumbers(seed);
  for (let round = 0; round < rounds; round++) {
    changeSources(world, next, 1 + Math.floor(next() * 12));
    await world.read();
    for (let decisions = Math.floor(next() * 3); decisions > 0; decisions--) await decideSomething(world, next);
    await world.join('delta');
    expect(await world.identities(), `seed ${seed}, round ${round}`).toEqual(await expected(world));
  }
  const found = { identities: await world.identities(), outside: await world.outside() };
  expect(found, `seed ${seed}`).toEqual(await fromScratch(world));
}
