import type { Connector, Session, StreamDeclaration } from '../connectors/connector.ts';
import { readingOf, type StreamBasis, streamBasis } from '../model/config/basis.ts';
import type { IntegrationConfig, StreamConfig } from '../model/config/types.ts';
import { TidemarkFailure } from '../model/failure.ts';
import { compileMapping, type Mapping } from '../model/mapping.ts';
import type { ServerIdentity } from '../model/marker.ts';
import type { Hashing } from '../store/staging-writer.ts';
import type { Dependencies } from './dependencies.ts';
import { pacer } from './pacer.ts';
import { takeSession } from './source-session.ts';

export function connectorOf(deps: Dependencies, integration: string, config: IntegrationConfig): Connector {
  const connector = deps.connectors.get(config.connector);
  if (connector) return connector;
  throw new TidemarkFailure(
    'InvalidConfiguration',
    `Integration ${integration} uses the connector ${config.connector}, which this worker does not have.`,
    {
      integration,
      remedy: `This worker has: ${[...deps.connectors.keys()].join(', ')}. Upgrade the worker or correct tidemark.yaml.`,
    },
  );
}

export interface SourceOptions {
  readonly integration: string;
  readonly config: IntegrationConfig;
  readonly streams: readonly string[];
  readonly signal: AbortSignal;
  /** Told what is waited for, where the source has a limit. */
  readonly waiting: (forWhat: string) => void;
  readonly server?: ServerIdentity;
}

/** Opens a session with an integration's source that can read the given streams, as soon as the source's limits allow one more. */
export async function openSource(deps: Dependencies, options: SourceOptions): Promise<Session> {
  const { source } = options.config;
  if (source === undefined) return openSession(deps, options);
  const granted = await takeSession(deps, { ...options, source }).catch((error: unknown) => {
    throw inIntegration(error, options.integration);
  });
  try {
    const session = await openSession(deps, { ...options, signal: AbortSignal.any([options.signal, granted.lost]) });
    return {
      server: session.server,
      check: () => session.check(),
      mark: (stream) => session.mark(stream),
      judge: (stream, since) => session.judge(stream, since),
      readAll: (stream, upTo) => session.readAll(stream, upTo),
      readChanges: (stream, since, upTo) => session.readChanges(stream, since, upTo),
      readByIds: (stream, ids) => session.readByIds(stream, ids),
      [Symbol.asyncDispose]: () => closeBoth(session, granted),
    };
  } catch (error) {
    await granted[Symbol.asyncDispose]();
    throw error;
  }
}

/** The place of a session is free only when the session is over. */
async function closeBoth(session: Session, granted: AsyncDisposable): Promise<void> {
  await using _ = granted;
  await session[Symbol.asyncDispose]();
}

async function openSession(deps: Dependencies, options: SourceOptions): Promise<Session> {
  const { integration, config } = options;
  const { maxSessions = 1, requestsPerSecond } = config.source ?? {};
  try {
    return await connectorOf(deps, integration, config).open({
      settings: config.settings,
      streams: Object.fromEntries(
        options.streams.map((name) => {
          const stream = streamOf(config, integration, name);
          return [name, { settings: stream.settings, attributes: [...mappingOf(stream).reads] }];
        }),
      ),
      pageSize: config.steps.query.pageSize,
      signal: options.signal,
      log: deps.log,
      secret: deps.secret,
      ...(requestsPerSecond === undefined ? {} : { pace: pacer(requestsPerSecond / maxSessions) }),
      ...(options.server ? { server: options.server } : {}),
    });
  } catch (error) {
    throw inIntegration(error, integration);
  }
}

export function streamOf(config: IntegrationConfig, integration: string, name: string): StreamConfig {
  const stream = config.streams[name];
  if (stream) return stream;
  throw new TidemarkFailure('InvalidConfiguration', `Integration ${integration} has no stream ${name}.`, {
    integration,
    stream: name,
    remedy: `It has: ${Object.keys(config.streams).join(', ')}.`,
  });
}

/** A stream's mapping and `include`, compiled. */
export function mappingOf({ mapping, include }: StreamConfig): Mapping {
  return compileMapping({ mapping, ...(include === undefined ? {} : { include }) });
}

export interface DeclaredStream {
  readonly declaration: StreamDeclaration;
  readonly basis: StreamBasis;
}

/** What the connector declares of a stream, and what the configuration bases it on. */
export function declaredStream(
  connector: Connector,
  { integration, config }: { readonly integration: string; readonly config: IntegrationConfig },
  name: string,
): DeclaredStream {
  const stream = streamOf(config, integration, name);
  const declaration = declarationsOf(connector, config).find((candidate) => candidate.name === name) as StreamDeclaration;
  return { declaration, basis: streamBasis({ connector, declaration, stream, reads: mappingOf(stream).reads, steps: config.steps }) };
}

function declarationsOf(connector: Connector, config: IntegrationConfig): readonly StreamDeclaration[] {
  return connector.streams(
    config.settings,
    Object.fromEntries(Object.entries(config.streams).map(([name, block]) => [name, block.settings])),
  );
}

/** What the hashes of a stream's objects are made with. */
export function hashingOf(connector: Connector, integration: string, config: IntegrationConfig, name: string): Hashing {
  const { declaration } = declaredStream(connector, { integration, config }, name);
  const { reads } = mappingOf(streamOf(config, integration, name));
  return {
    volatile: new Set(declaration.volatile.filter((attribute) => !reads.has(attribute))),
    reading: readingOf({ connector, declaration, reads }),
  };
}

/** Adds the integration's name to a connector's failure: connectors do not know it. */
export function inIntegration(error: unknown, integration: string, stream?: string): unknown {
  if (!(error instanceof TidemarkFailure) || error.details.integration !== undefined) return error;
  const place = stream === undefined ? `Integration ${integration}` : `Integration ${integration}, stream ${stream}`;
  return new TidemarkFailure(
    error.type,
    `${place}: ${error.message}`,
    { ...error.details, integration, ...(stream === undefined ? {} : { stream }) },
    error,
  );
}

/** Asks the source what every run relies on, and fails as the first finding says that forbids one. */
export async function checkSource(session: Session, integration: string): Promise<void> {
  const report = await session.check().catch((error: unknown) => {
    throw inIntegration(error, integration);
  });
  const failure = report.findings.find((finding) => finding.severity === 'failure');
  if (!failure) return;
  throw new TidemarkFailure(failure.failure ?? 'SourceUnavailable', `Integration ${integration}: ${failure.message}`, {
    integration,
    ...(failure.remedy ? { remedy: failure.remedy } : {}),
  });
}
