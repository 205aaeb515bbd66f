import { suggestion } from './issues.ts';
import { type Place, problemAt } from './place.ts';
import type { ConfigProblem } from './problem.ts';
import { scheduleConfig, scheduleNameProblems } from './schedule-file.ts';
import { type IdentitiesFile, normalizations } from './schema.ts';
import type { AttributeOrigin, IdentitiesConfig, IdentitySource, IntegrationConfig, JoinRule, StreamName } from './types.ts';
import type { ConfigPath } from './yaml-source.ts';

type Integrations = Readonly<Record<string, IntegrationConfig>>;

type Resolved =
  | { readonly ok: true; readonly config: IdentitiesConfig }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/** `integration/stream`, as the configuration file names a stream. */
export function nameStream({ integration, stream }: StreamName): string {
  return `${integration}/${stream}`;
}

/** Turns the block `identities` into what is stored; streams and attributes that the integrations do not have are problems. */
export function resolveIdentities(file: IdentitiesFile, integrations: Integrations, place: Place): Resolved {
  const known = new Known(integrations, place);
  const sources = Object.entries(file.sources).map(([name, block]): IdentitySource => {
    const source = known.stream(name, ['sources', name], 'key');
    const { authoritative = false, only = {}, except = {} } = block ?? {};
    for (const attribute of Object.keys(only)) known.attribute(source, attribute, ['sources', name, 'only', attribute]);
    for (const attribute of Object.keys(except)) known.attribute(source, attribute, ['sources', name, 'except', attribute]);
    return { ...source, authoritative, only, except };
  });
  const names = sources.map(nameStream);
  const takesPart = (stream: StreamName, path: ConfigPath) => {
    const name = nameStream(stream);
    if (names.includes(name)) return;
    known.problems.push(problemAt(place, path, 'value', `${name} is not one of the sources`, suggestion(name, names, 'Sources')));
  };
  if (!sources.some(({ authoritative }) => authoritative)) {
    known.problems.push(
      problemAt(
        place,
        ['sources'],
        'key',
        'no source is authoritative',
        'Name one that makes identities: hr/people: { authoritative: true }.',
      ),
    );
  }
  const join = file.join.map((rule, index): JoinRule => {
    const path = ['join', index, 'by'];
    const by = Array.isArray(rule.by) ? Object.fromEntries(names.map((name) => [name, rule.by as readonly string[]])) : rule.by;
    for (const [name, attributes] of Object.entries(by)) {
      const at = Array.isArray(rule.by) ? path : [...path, name];
      const stream = known.stream(name, at, 'key');
      takesPart(stream, at);
      for (const attribute of attributes) known.attribute(stream, attribute, at);
    }
    if (file.join.findIndex(({ name }) => name === rule.name) !== index) {
      known.problems.push(
        problemAt(place, ['join', index], 'value', `a second rule with the name "${rule.name}"`, 'Give each a name of its own.'),
      );
    }
    return { name: rule.name, by, normalize: normalizations.filter((each) => rule.normalize.includes(each)) };
  });
  const attributes = Object.fromEntries(
    Object.entries(file.attributes).map(([attribute, origins]) => [
      attribute,
      origins.map((origin, index): AttributeOrigin => {
        const path = ['attributes', attribute, index];
        const text = typeof origin === 'string' ? origin : origin.of;
        const [name = '', own = attribute] = splitOnce(text);
        const stream = known.stream(name, path, 'value');
        takesPart(stream, path);
        known.attribute(stream, own, path);
        if (typeof origin === 'string') return { ...stream, attribute: own };
        const { from, match, value } = origin.lookup;
        const other = known.stream(from, [...path, 'lookup', 'from'], 'value');
        known.attribute(other, match, [...path, 'lookup', 'match']);
        known.attribute(other, value, [...path, 'lookup', 'value']);
        return { ...stream, attribute: own, lookup: { ...other, match, value } };
      }),
    ]),
  );
  file.schedules.forEach(({ streams }, index) => {
    if (streams === undefined) return;
    known.problems.push(problemAt(place, ['schedules', index, 'streams'], 'key', 'identities have no streams', 'Remove streams.'));
  });
  const problems = [...known.problems, ...scheduleNameProblems(file, place)];
  if (problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    config: {
      connector: 'identities',
      streams: { identities: {} },
      rules: { sources, join, attributes },
      schedules: file.schedules.map(scheduleConfig),
    },
  };
}

/** At the first dot: `corp-ad/users.email`. */
function splitOnce(text: string): readonly [string, string?] {
  const dot = text.indexOf('.', text.indexOf('/'));
  return dot < 0 ? [text] : [text.slice(0, dot), text.slice(dot + 1)];
}

/** What the integrations have, and what was asked for that they do not have. */
class Known {
  readonly problems: ConfigProblem[] = [];
  readonly #integrations: Integrations;
  readonly #place: Place;

  constructor(integrations: Integrations, place: Place) {
    this.#integrations = integrations;
    this.#place = place;
  }

  stream(name: string, path: ConfigPath, part: 'key' | 'value'): StreamName {
    const [integration = '', stream = ''] = name.split('/');
    const config = this.#integrations[integration];
    if (config === undefined || !Object.hasOwn(config.streams, stream)) {
      const all = Object.entries(this.#integrations).flatMap(([id, { streams }]) => Object.keys(streams).map((each) => `${id}/${each}`));
      this.problems.push(problemAt(this.#place, path, part, `no integration syncs ${name}`, suggestion(name, all, 'There is')));
    }
    return { integration, stream };
  }

  /** Attributes are those of the mapping, if it is applied. */
  attribute({ integration, stream }: StreamName, attribute: string, path: ConfigPath): void {
    const config = this.#integrations[integration];
    const mapping = config?.streams[stream]?.mapping;
    if (mapping === undefined || config?.steps.transform.enabled === false || Object.hasOwn(mapping, attribute)) return;
    this.problems.push(
      problemAt(
        this.#place,
        path,
        'value',
        `the mapping of ${integration}/${stream} has no attribute "${attribute}"`,
        suggestion(attribute, Object.keys(mapping), 'It has'),
      ),
    );
  }
}
