import type { Finding, Session } from '../../../connectors/connector.ts';
import { sql } from '../../../connectors/sql/index.ts';
import { type Item, objectOf } from '../../../model/item.ts';
import type { Marker, ServerIdentity } from '../../../model/marker.ts';

export type Block = Readonly<Record<string, unknown>>;

export interface SqlTarget {
  readonly settings: Block;
  readonly password: string;
}

export interface OpenChoices {
  readonly attributes?: readonly string[];
  readonly pageSize?: number;
  readonly server?: ServerIdentity;
  readonly signal?: AbortSignal;
}

/** Opens a session with one stream `people`, as the engine does. */
export function openPeople({ settings, password }: SqlTarget, block: Block, choices: OpenChoices = {}): Promise<Session> {
  const silent = (): void => undefined;
  return sql.open({
    settings: sql.settings.parse({ user: 'reader', password: { env: 'PASSWORD' }, ...settings }),
    streams: { people: { settings: sql.streamSettings.parse(block), attributes: choices.attributes ?? ['name'] } },
    pageSize: choices.pageSize ?? 3,
    ...(choices.server === undefined ? {} : { server: choices.server }),
    signal: choices.signal ?? new AbortController().signal,
    log: { debug: silent, info: silent, warn: silent },
    secret: () => Promise.resolve(password),
  });
}

/** Objects with their content. */
async function itemsOf(pages: AsyncGenerator<readonly Item[], unknown>): Promise<readonly Item[]> {
  const items: Item[] = [];
  for await (const page of pages) items.push(...page.map((item) => (item.kind === 'record' ? objectOf(item) : item)));
  return items;
}

/** All items of a complete read. */
export async function listed(target: SqlTarget, block: Block, choices: OpenChoices = {}): Promise<readonly Item[]> {
  await using session = await openPeople(target, block, choices);
  return await itemsOf(session.readAll('people', await session.mark('people')));
}

export async function marked(target: SqlTarget, block: Block): Promise<Marker> {
  await using session = await openPeople(target, block);
  return await session.mark('people');
}

/** All items since a marker, which must be judged valid. */
export async function changed(target: SqlTarget, block: Block, since: Marker, choices: OpenChoices = {}): Promise<readonly Item[]> {
  await using session = await openPeople(target, block, choices);
  const verdict = await session.judge('people', since);
  if (!verdict.valid) throw new Error(verdict.reason);
  return await itemsOf(session.readChanges('people', since, await session.mark('people')));
}

/** Why a marker is not believed any more; an empty text if it is. */
export async function doubt(target: SqlTarget, block: Block, since: Marker): Promise<string> {
  await using session = await openPeople(target, block);
  const verdict = await session.judge('people', since);
  return verdict.valid ? '' : verdict.reason;
}

/** The finding that keeps runs from starting. */
export async function failingCheck(target: SqlTarget, block: Block, choices: OpenChoices = {}): Promise<Finding | undefined> {
  await using session = await openPeople(target, block, choices);
  return (await session.check()).findings.find(({ severity }) => severity === 'failure');
}

/** Kind and id of each item, sorted. */
export function told(items: readonly Item[]): readonly string[] {
  return items.map((item) => (item.kind === 'unmatched' ? `unmatched ${item.ids}` : `${item.kind} ${item.id}`)).sort();
}

/** Attributes of the objects, by id. */
export function attributesOf(items: readonly Item[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    items.flatMap((item) => (item.kind === 'object' || item.kind === 'record' ? [[item.id, objectOf(item).attributes]] : [])),
  );
}
