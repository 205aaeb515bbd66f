import type { Session, StreamDeclaration } from '../../connectors/connector.ts';
import { compileMapping } from '../../model/mapping.ts';
import type { ServerIdentity } from '../../model/marker.ts';
import type { ConformanceHarness, ConformanceSource } from './source.ts';

/** How much the kit does. */
export interface ConformanceOptions {
  /** Draws the random changes; the same seed draws the same ones. Default: another one each time; the report names it. */
  readonly seed?: number;
  /** Random sequences of changes, each followed by a delta and a fresh complete read. Default: 20. */
  readonly sequences?: number;
  /** Changes in each of them. Default: 20. */
  readonly changes?: number;
  /** Values of the attribute with many values. Default: 2,000. */
  readonly values?: number;
  /** Members of the group with many members. Default: 40. */
  readonly members?: number;
}

export interface OpenChoices {
  readonly server?: ServerIdentity;
  readonly signal?: AbortSignal;
}

/** One check's access to the connector and to a source of its own. */
export interface Trial {
  readonly source: ConformanceSource;
  readonly pageSize: number;
  readonly options: Required<ConformanceOptions>;
  /** The streams to read, as the connector declares them. */
  readonly declarations: ReadonlyMap<string, StreamDeclaration>;
  /** Opens a session as the engine does: settings validated, the attributes that the mapping reads asked for. */
  open(choices?: OpenChoices): Promise<Session>;
}

const silent = () => undefined;
const log = { debug: silent, info: silent, warn: silent };

/** The kit's way to a source, the same as the engine's: nothing but the connector's contract. */
export function createTrial(harness: ConformanceHarness, source: ConformanceSource, options: Required<ConformanceOptions>): Trial {
  const { connector, pageSize } = harness;
  const settings = connector.settings.parse(source.settings);
  const blocks = Object.fromEntries(
    Object.entries(source.streams).map(([name, block]) => [name, connector.streamSettings.parse(block)] as const),
  );
  const declarations = new Map<string, StreamDeclaration>();
  const declared = connector.streams(settings, blocks);
  for (const name of Object.keys(blocks)) {
    const declaration = declared.find((candidate) => candidate.name === name);
    if (declaration === undefined) throw new Error(`The connector ${connector.type} declares no stream ${name}`);
    declarations.set(name, declaration);
  }
  const streams = Object.fromEntries(
    [...declarations].map(([name, { mapping }]) => [
      name,
      {
        settings: blocks[name],
        attributes: [...compileMapping({ mapping }).reads, ...(name === source.stream ? [source.textAttribute] : [])],
      },
    ]),
  );
  return {
    source,
    pageSize,
    options,
    declarations,
    open: ({ server, signal = new AbortController().signal } = {}) =>
      connector.open({
        settings,
        streams,
        pageSize,
        signal,
        log,
        secret: (reference) => source.secret(reference),
        ...(server === undefined ? {} : { server }),
      }),
  };
}
