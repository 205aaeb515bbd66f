import { hash } from 'node:crypto';
import { canonicalJson } from '../canonical.ts';
import type { StepsConfig, StreamConfig } from './types.ts';

export interface FingerprintInput {
  readonly connectorType: string;
  readonly connectorVersion: number;
  /** `StreamDeclaration.query`: everything that decides which objects are read and with what content. */
  readonly query: unknown;
  readonly stream: Pick<StreamConfig, 'include' | 'mapping'>;
  readonly steps: StepsConfig;
}

/**
 * What a marker was taken with, as SHA-256 in hex: connector and version, query, `include`, mapping and which steps are enabled, in deltas too. A marker
 * with another fingerprint is invalid, since what it left unread or unwritten is not known.
 */
export function streamFingerprint({ connectorType, connectorVersion, query, stream, steps }: FingerprintInput): string {
  const enabled = Object.fromEntries(Object.entries(steps).map(([step, options]) => [step, options.enabled]));
  return sha256Hex({
    connector: { type: connectorType, version: connectorVersion },
    query,
    include: stream.include ?? null,
    mapping: stream.mapping,
    enabled,
    membershipInDelta: steps.membership.delta,
  });
}

/** Which mapping an object's stored attributes come from, as 16 hex digits: of mapping, `include`, and whether the transform step is enabled. */
export function mappingVersion({ include, mapping }: Pick<StreamConfig, 'include' | 'mapping'>, transformEnabled: boolean): string {
  return sha256Hex({ include: include ?? null, mapping: transformEnabled ? mapping : null }).slice(0, 16);
}

function sha256Hex(value: unknown): string {
  return hash('sha256', canonicalJson(value), 'hex');
}
