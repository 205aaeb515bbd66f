import type { Control } from 'ldapts';
import { TidemarkFailure } from '../../model/failure.ts';
import type { SourceAttributes, SourceValue } from '../../model/item.ts';
import type { DirectoryConnection } from '../directory/connection.ts';
import { buffers, type Entry, type EntryAttribute, values } from '../directory/entry.ts';
import { isoFromGeneralizedTime } from '../directory/generalized-time.ts';
import { type LinksItem, type ObjectItem, slices } from '../directory/items.ts';
import { isSecret, isTrackedAnyway, isUntracked } from './attributes.ts';
import { guidText, sidText } from './binary-text.ts';
import { domainScope, extendedDn } from './controls.ts';
import { guidOf, parseExtendedDn } from './extended-dn.ts';
import type { PrimaryGroups } from './primary-groups.ts';
import { parseRange, readRest, withoutRange } from './ranged-values.ts';
import type { AttributeDefinition, SchemaView, ValueForm } from './schema.ts';
import type { StreamPlan } from './streams.ts';

/** An entry as the engine wants it: the object, and its lists of links that are too long for it. */
export interface ReadEntry {
  readonly item: ObjectItem;
  readonly more: readonly LinksItem[];
}

/** Turns entries of one stream into items. */
export interface EntryReader {
  /** The attributes a search must ask for. */
  readonly attributes: readonly string[];
  /** The controls a search must carry. */
  readonly controls: () => readonly Control[];
  /** Entries may carry lists of references: a page of them can be a thousand times as big as one of others. */
  readonly hasLists: boolean;
  read(entry: Entry): Promise<ReadEntry>;
}

interface Output {
  readonly definition: AttributeDefinition;
  /** Under these names it is given. */
  readonly names: readonly string[];
}

/** What becomes of an attribute whose description is spelled so. */
interface Handling {
  /** `undefined`: it is not given as an attribute. */
  readonly output: Output | undefined;
  /** The place of the last value, where the server says that it has more. */
  readonly last: number | undefined;
}

/** The attributes of a stream that its links are made of, and what making them needs. */
const linkNeeds: Readonly<Record<string, readonly string[]>> = { primaryGroupID: ['primaryGroupID', 'objectSid'] };

/** Every attribute that a stream asks the schema about. */
export function attributesOf(plan: StreamPlan, requested: readonly string[]): readonly string[] {
  return [...requested, ...plan.links.flatMap(({ attribute }) => linkNeeds[attribute] ?? [attribute])];
}

/**
 * @param requested attributes that settings, mapping and `include` name, in their spelling, under which they are given
 * @param trackable whether the stream promises deltas: then an attribute whose changes go unseen is refused
 * @param memberRange values of a long attribute asked for, and given on, at once
 */
export function entryReader(options: {
  readonly connection: DirectoryConnection;
  readonly plan: StreamPlan;
  readonly requested: readonly string[];
  readonly schema: SchemaView;
  readonly primaryGroups: PrimaryGroups;
  readonly memberRange: number;
  readonly trackable: boolean;
}): EntryReader {
  const { connection, plan, schema, primaryGroups, memberRange } = options;
  const outputs = new Map<string, Output>();
  for (const name of new Set(options.requested)) {
    const definition = schema.get(name.toLowerCase());
    if (definition === undefined) continue;
    refuseUnreadable(plan.name, name, definition, options.trackable);
    const known = outputs.get(definition.name.toLowerCase());
    outputs.set(definition.name.toLowerCase(), { definition, names: [...(known?.names ?? []), name] });
  }
  const multiLinks = plan.links.filter(
    ({ from, attribute }) => from === 'attribute' && schema.get(attribute.toLowerCase())?.single === false,
  );
  const singleLinks = plan.links.filter((rule) => !multiLinks.includes(rule));
  const isList = (name: string): boolean => multiLinks.some(({ attribute }) => attribute.toLowerCase() === name.toLowerCase());
  const attributes = [
    ...new Set([
      ...[...outputs.values()].map(({ definition }) => definition.name).filter((name) => !isList(name)),
      ...singleLinks.flatMap(({ attribute }) => linkNeeds[attribute] ?? [attribute]),
      // Asked for by range: a server that caps the values of an attribute otherwise may answer with an empty list under the plain name.
      ...multiLinks.map(({ attribute }) => `${attribute};range=0-${memberRange - 1}`),
    ]),
  ];

  // Servers spell a name alike in all entries.
  const handlings = new Map<string, Handling>();
  function handlingOf(type: string): Handling {
    const known = handlings.get(type);
    if (known !== undefined) return known;
    const [name, last] = [withoutRange(type).toLowerCase(), parseRange(type)?.last];
    const handling = { output: isList(name) ? undefined : outputs.get(name), last: last === '*' ? undefined : last };
    handlings.set(type, handling);
    return handling;
  }

  /** All targets, or `undefined` if the list can't be told: its links then stay as they are. */
  async function manyTargets(entry: Entry, attribute: string): Promise<readonly string[] | undefined> {
    const collected: string[] = [];
    const prefix = `${attribute.toLowerCase()};`;
    const collect = (part: EntryAttribute): void => {
      for (const value of part.texts()) collected.push(targetId(value, connection.host));
    };
    for (const part of entry.attributes) {
      const lower = part.type.toLowerCase();
      if (lower !== attribute.toLowerCase() && !lower.startsWith(prefix)) continue;
      collect(part);
      const range = parseRange(part.type);
      if (range !== undefined && range.last !== '*') {
        const rest = await readRest(connection, parseExtendedDn(entry.name), attribute, range.last + 1, memberRange);
        if (rest === undefined) return undefined;
        rest.forEach(collect);
      }
    }
    return collected;
  }

  /** Windows caps the values of an attribute (MaxValRange) although no range was asked for, and says so in the attribute's description. */
  async function allValues(entry: Entry, first: EntryAttribute, after: number): Promise<readonly EntryAttribute[]> {
    const name = withoutRange(first.type);
    const rest = await readRest(connection, parseExtendedDn(entry.name), name, after + 1, memberRange);
    if (rest !== undefined) return [first, ...rest];
    throw new TidemarkFailure('ListingIncomplete', `${connection.host} stopped in the middle of the values of ${name}`, {
      stream: plan.name,
      remedy: 'The object or the rights of the account changed during the read: the run is made again.',
    });
  }

  return {
    attributes,
    controls: () => [domainScope(), extendedDn()],
    hasLists: multiLinks.length > 0,
    async read(entry) {
      const { guid, dn } = parseExtendedDn(entry.name);
      const id = guid ?? '';
      const content: Record<string, SourceValue> = {};
      for (const attribute of entry.attributes) {
        const { output, last } = handlingOf(attribute.type);
        if (output === undefined || attribute.count === 0) continue;
        const parts = last === undefined ? [attribute] : await allValues(entry, attribute, last);
        const value = output.definition.name === 'distinguishedName' ? dn : sourceValue(parts, output.definition);
        for (const name of output.names) content[name] = value;
      }
      const links: Record<string, readonly string[]> = {};
      const more: LinksItem[] = [];
      for (const { kind, from, attribute } of singleLinks) {
        if (from === 'primaryGroupId') {
          const group = await primaryGroups.groupOf(buffers(entry, 'objectSid')[0], values(entry, 'primaryGroupID')[0]);
          // Every user has one. If it is not to be seen, the account may not see it: that is no news about the user.
          if (group !== undefined) links[kind] = [group];
        } else {
          links[kind] = values(entry, attribute).map((value) => targetId(value, connection.host));
        }
      }
      for (const { kind, attribute } of multiLinks) {
        const targets = await manyTargets(entry, attribute);
        if (targets === undefined) continue;
        if (targets.length <= memberRange) links[kind] = targets;
        else more.push(...slices(id, kind, targets, memberRange));
        const output = outputs.get(attribute.toLowerCase());
        for (const name of output?.names ?? []) content[name] = targets;
      }
      return { item: { kind: 'object', id, key: dn, attributes: content satisfies SourceAttributes, links }, more };
    },
  };
}

function refuseUnreadable(stream: string, name: string, definition: AttributeDefinition, trackable: boolean): void {
  if (isSecret(name)) {
    throw new TidemarkFailure('InvalidConfiguration', `${name} of stream ${stream} holds a secret and is never read`, {
      stream,
      remedy: 'Remove it from attributes, mapping and include.',
    });
  }
  const unseen = isUntracked(name) || (definition.untracked && !isTrackedAnyway(name));
  if (!unseen || !trackable) return;
  throw new TidemarkFailure(
    'InvalidConfiguration',
    `Changes of ${name} leave no trace on the objects of stream ${stream}, so deltas would miss them`,
    {
      stream,
      remedy: isUntracked(name)
        ? 'List it under attributes of the stream, which is then always read completely, or do not read it.'
        : 'Remove it from attributes, mapping and include: the schema calls it a back-link, constructed or not replicated.',
    },
  );
}

function targetId(value: string, host: string): string {
  const guid = guidOf(value);
  if (guid === undefined) {
    throw new TidemarkFailure('ListingIncomplete', `${host} gave a reference without the id of its target`, {
      remedy: 'Use this connector with Active Directory or Samba only, and not through a proxy that drops controls.',
    });
  }
  return guid;
}

/** The value of an attribute as JSON: a scalar for single-valued attributes, else always a list. */
function sourceValue(parts: readonly EntryAttribute[], { form, single }: AttributeDefinition): SourceValue {
  if (!single) return parts.flatMap((part) => scalars(part, form).map(String));
  const [part] = parts;
  if (part === undefined) return null;
  return isBinary(form) ? (scalars(part, form)[0] ?? null) : fromText(part.text(), form);
}

function scalars(part: EntryAttribute, form: ValueForm): readonly (string | number | boolean)[] {
  return isBinary(form) ? part.buffers().map((raw) => fromBytes(raw, form)) : part.texts().map((text) => fromText(text, form));
}

type BinaryForm = Extract<ValueForm, 'guid' | 'sid' | 'binary'>;

function isBinary(form: ValueForm): form is BinaryForm {
  return form === 'guid' || form === 'sid' || form === 'binary';
}

function fromBytes(raw: Buffer, form: BinaryForm): string {
  if (form === 'sid') return sidText(raw);
  return form === 'guid' && raw.length === 16 ? guidText(raw) : raw.toString('base64');
}

function fromText(text: string, form: ValueForm): string | number | boolean {
  switch (form) {
    case 'boolean':
      return text === 'TRUE';
    case 'integer':
      return Number(text);
    case 'time':
      return isoFromGeneralizedTime(text) ?? text;
    case 'dn': {
      const { guid, dn } = parseExtendedDn(text);
      return guid ?? dn;
    }
    default:
      return text;
  }
}
