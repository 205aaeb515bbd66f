import { hash } from 'node:crypto';
import { canonicalJson } from '../canonical.ts';
import type { StepsConfig, StreamConfig } from './types.ts';

/**
 * What a stream's marker and stored objects were made with, in parts: where one of them is no longer what the configuration says, it tells
 * what must be done again.
 */
export interface StreamBasis {
  /** Connector and version, query, which attributes are read and hashed, enabled steps: SHA-256 in hex. */
  readonly fingerprint: string;
  /** `include`, as 16 hex digits. What it leaves out is not stored. */
  readonly scope: string;
  /** Which mapping an object's stored attributes come from, as 16 hex digits: mapping, `include`, and whether the transform step is enabled. */
  readonly mappingVersion: string;
}

export interface BasisInput {
  readonly connector: { readonly type: string; readonly version: number };
  /** What the connector declares of the stream. */
  readonly declaration: {
    readonly query: unknown;
    readonly attributes?: readonly string[];
    readonly volatile: readonly string[];
  };
  readonly stream: Pick<StreamConfig, 'include' | 'mapping'>;
  /** The source attributes that mapping and `include` read. */
  readonly reads: ReadonlySet<string>;
  readonly steps: StepsConfig;
}

/** The basis that a configuration gives a stream. */
export function streamBasis({ connector, declaration, stream, reads, steps }: BasisInput): StreamBasis {
  const { query, attributes, volatile } = declaration;
  return {
    fingerprint: sha256Hex({
      connector: { type: connector.type, version: connector.version },
      query,
      attributes: attributes === undefined ? null : [...new Set([...attributes, ...reads])].sort(),
      hashed: volatile.filter((attribute) => reads.has(attribute)).sort(),
      enabled: Object.fromEntries(Object.entries(steps).map(([step, options]) => [step, options.enabled])),
      membershipInDelta: steps.membership.delta,
    }),
    scope: sha256Hex(stream.include ?? null).slice(0, 16),
    mappingVersion: mappingVersion(stream, steps.transform.enabled),
  };
}

/**
 * By what a connector makes objects of the source's records, as SHA-256 in hex: all of the fingerprint that decides what a record says, and not
 * which steps are enabled.
 */
export function readingOf({ connector, declaration, reads }: Pick<BasisInput, 'connector' | 'declaration' | 'reads'>): string {
  return sha256Hex({
    connector: { type: connector.type, version: connector.version },
    query: declaration.query,
    attributes: [...new Set([...(declaration.attributes ?? []), ...reads])].sort(),
  });
}

/** Which mapping a stream's stored attributes come from. */
export function mappingVersion({ include, mapping }: Pick<StreamConfig, 'include' | 'mapping'>, transformEnabled: boolean): string {
  return sha256Hex({ include: include ?? null, mapping: transformEnabled ? mapping : null }).slice(0, 16);
}

/** What a changed configuration asks of the next run of a stream; `why` in words. */
export type Reevaluation =
  | { readonly needs: 'nothing' }
  /** The stored source records are mapped anew; the source is not read for it. */
  | { readonly needs: 'remap'; readonly why: string }
  | { readonly needs: 'complete'; readonly why: string };

/** Compares what the stored marker was taken with to what the configuration says now. */
export function reevaluation(stored: StreamBasis, now: StreamBasis): Reevaluation {
  if (stored.fingerprint !== now.fingerprint) {
    return {
      needs: 'complete',
      why: 'the query, the attributes that are read, the steps or the connector version changed since the marker was taken',
    };
  }
  if (stored.scope !== now.scope) {
    return { needs: 'complete', why: 'include changed since the marker was taken, and what it left out is not stored' };
  }
  if (stored.mappingVersion !== now.mappingVersion) return { needs: 'remap', why: 'the mapping changed since the marker was taken' };
  return { needs: 'nothing' };
}

function sha256Hex(value: unknown): string {
  return hash('sha256', canonicalJson(value), 'hex');
}
