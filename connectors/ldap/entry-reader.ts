import { TidemarkFailure } from '../../model/failure.ts';
import type { SourceValue } from '../../model/item.ts';
import type { Entry, EntryAttribute } from '../directory/entry.ts';
import { isoFromGeneralizedTime } from '../directory/generalized-time.ts';
import { type LinksItem, type ObjectItem, slices } from '../directory/items.ts';
import { isOneInPractice, isSecret, isUntracked } from './attributes.ts';
import type { References } from './references.ts';
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
  /** Attributes of the stream that hold DNs of other entries. */
  readonly dnAttributes: readonly string[];
  /** Attributes of the stream that hold the uid of other entries. */
  readonly uidAttributes: readonly string[];
  /** Entries may carry lists of references: a page of them can be a thousand times as big as one of others. */
  readonly hasLists: boolean;
  /** A page at a time: references are looked up together. */
  read(page: readonly Entry[], references: References): Promise<readonly ReadEntry[]>;
}

/** Links of one item and of one slice. */
const linksAtOnce = 1_500;

/** What becomes of one attribute of an entry. */
interface Handling {
  readonly form: ValueForm;
  /** Under these names it is given, as they are written in the configuration. */
  readonly outputs: readonly string[];
  readonly asList: boolean;
  /** Kinds of links it is a part of. */
  readonly links: readonly string[];
}

/** What references mean, one after another. */
interface Resolved {
  readonly byDn: Iterator<string | undefined, undefined>;
  readonly byUid: Iterator<readonly string[], undefined>;
}

/** Every attribute that a stream asks the schema about. */
export function attributesOf(plan: StreamPlan, requested: readonly string[]): readonly string[] {
  return [...requested, ...Object.values(plan.links).flat()];
}

/**
 * @param requested attributes that settings, mapping and `include` name, in their spelling, under which they are given
 * @param trackable whether the stream promises deltas: then an attribute whose changes go unseen is refused
 */
export function entryReader(options: {
  readonly plan: StreamPlan;
  readonly requested: readonly string[];
  readonly schema: SchemaView;
  readonly trackable: boolean;
}): EntryReader {
  const { plan, schema } = options;
  const handlings = new Map<string, { definition: AttributeDefinition; outputs: string[]; links: string[] }>();
  const handlingOf = (name: string): { outputs: string[]; links: string[] } | undefined => {
    const definition = schema.get(name.toLowerCase());
    if (definition === undefined) {
      if (plan.optional.has(name.toLowerCase())) return undefined;
      throw new TidemarkFailure('InvalidConfiguration', `The directory knows no attribute ${name}, which stream ${plan.name} reads`, {
        stream: plan.name,
        remedy: 'Correct the name in attributes, lists, links, mapping or include, or extend the schema of the directory.',
      });
    }
    const key = definition.name.toLowerCase();
    const known = handlings.get(key) ?? { definition, outputs: [], links: [] };
    handlings.set(key, known);
    return known;
  };
  for (const name of new Set(options.requested)) {
    refuseUnreadable(plan.name, name, options.trackable);
    handlingOf(name)?.outputs.push(name);
  }
  for (const [kind, attributes] of Object.entries(plan.links)) for (const name of attributes) handlingOf(name)?.links.push(kind);
  const ready = new Map<string, Handling>(
    [...handlings].map(([key, { definition, outputs, links }]) => [
      key,
      {
        form: definition.form,
        outputs,
        links,
        asList: plan.lists.has(key) || !(definition.single || isOneInPractice(definition.name)),
      },
    ]),
  );
  const linkKinds = Object.keys(plan.links);
  const all = [...handlings.values()];
  const dnAttributes = all.filter(({ definition }) => definition.form === 'dn').map(({ definition }) => definition.name);
  const uidAttributes = all
    .filter(({ definition, links }) => links.length > 0 && definition.form !== 'dn')
    .map(({ definition }) => definition.name);
  // Servers spell a name alike in all entries.
  const bySpelling = new Map<string, Handling | undefined>();
  const handlingAs = (type: string): Handling | undefined => {
    if (!bySpelling.has(type)) bySpelling.set(type, ready.get(type.replace(/;binary$/i, '').toLowerCase()));
    return bySpelling.get(type);
  };

  /** What the references of a page mean, in the order in which they stand there. */
  async function resolved(page: readonly Entry[], references: References): Promise<Resolved> {
    const dns: string[] = [];
    const uids: string[] = [];
    for (const { attributes } of page) {
      for (const attribute of attributes) {
        const handling = handlingAs(attribute.type);
        if (handling === undefined || handling.links.length === 0) continue;
        const into = handling.form === 'dn' ? dns : uids;
        for (const value of attribute.texts()) into.push(value);
      }
    }
    return { byDn: (await references.byDn(dns)).values(), byUid: (await references.byUid(uids)).values() };
  }

  function readOne(entry: Entry, { byDn, byUid }: Resolved): ReadEntry {
    let id = '';
    const content: Record<string, SourceValue> = {};
    const targets = new Map<string, string[]>(linkKinds.map((kind) => [kind, []]));
    for (const attribute of entry.attributes) {
      if (attribute.count === 0) continue;
      if (attribute.type === 'entryUUID') id = attribute.text().toLowerCase();
      const handling = handlingAs(attribute.type);
      if (handling === undefined) continue;
      const { form, outputs, asList, links } = handling;
      if (outputs.length > 0) {
        const value = asList ? scalars(attribute, form).map(String) : scalar(attribute, form);
        for (const name of outputs) content[name] = value;
      }
      if (links.length === 0) continue;
      for (let index = 0; index < attribute.count; index++) {
        const target = form === 'dn' ? byDn.next().value : byUid.next().value;
        if (target !== undefined) for (const kind of links) targets.get(kind)?.push(...(typeof target === 'string' ? [target] : target));
      }
    }
    const links: Record<string, readonly string[]> = {};
    const more: LinksItem[] = [];
    for (const [kind, list] of targets) {
      const distinct = list.length < 2 ? list : [...new Set(list)];
      if (distinct.length <= linksAtOnce) links[kind] = distinct;
      else more.push(...slices(id, kind, distinct, linksAtOnce));
    }
    return { item: { kind: 'object', id, key: entry.name, attributes: content, links }, more };
  }

  return {
    attributes: [...new Set(['entryUUID', ...all.map(({ definition }) => definition.name)])],
    dnAttributes,
    uidAttributes,
    hasLists: all.some(({ definition, links }) => links.length > 0 && !definition.single && !isOneInPractice(definition.name)),
    async read(page, references) {
      const found = await resolved(page, references);
      return page.map((entry) => readOne(entry, found));
    },
  };
}

function refuseUnreadable(stream: string, name: string, trackable: boolean): void {
  if (isSecret(name)) {
    throw new TidemarkFailure('InvalidConfiguration', `${name} of stream ${stream} holds a secret and is never read`, {
      stream,
      remedy: 'Remove it from attributes, mapping and include.',
    });
  }
  if (!trackable || !isUntracked(name)) return;
  throw new TidemarkFailure(
    'InvalidConfiguration',
    `Changes of ${name} leave no trace on the entries of stream ${stream}, so deltas would miss them`,
    {
      stream,
      remedy: 'List it under attributes of the stream, which is then always read completely, or do not read it.',
    },
  );
}

function scalar(attribute: EntryAttribute, form: ValueForm): string | number | boolean {
  return form === 'binary' ? (attribute.buffers()[0]?.toString('base64') ?? '') : fromText(attribute.text(), form);
}

function scalars(attribute: EntryAttribute, form: ValueForm): readonly (string | number | boolean)[] {
  return form === 'binary'
    ? attribute.buffers().map((raw) => raw.toString('base64'))
    : attribute.texts().map((text) => fromText(text, form));
}

function fromText(text: string, form: Exclude<ValueForm, 'binary'>): string | number | boolean {
  switch (form) {
    case 'text':
    case 'dn':
      return text;
    case 'boolean':
      return text.toUpperCase() === 'TRUE';
    case 'integer': {
      const number = Number(text);
      // RFC 4517 3.3.16 sets no bounds.
      return Number.isSafeInteger(number) ? number : text;
    }
    case 'time':
      return isoFromGeneralizedTime(text) ?? text;
    default:
      return form satisfies never;
  }
}
