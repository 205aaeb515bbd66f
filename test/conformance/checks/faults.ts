import type { Session } from '../../../connectors/connector.ts';
import type { TidemarkFailure } from '../../../model/failure.ts';
import type { Marker } from '../../../model/marker.ts';
import type { ConformanceCheck } from '../check.ts';
import { createMany } from '../population.ts';
import { createIntake, list, readToEnd } from '../reading.ts';
import type { Trial } from '../trial.ts';
import { can, demand, failureOf } from '../verdicts.ts';
import { expectIds } from './listings.ts';

/** What goes wrong while a source is read: it ends in a failure of the right type or in everything, and never in a part of it. */
export const faultChecks: readonly ConformanceCheck[] = [
  {
    name: 'cut-connection',
    title: 'a complete read whose connection is cut, at whatever request, fails so that it is tried again, or gives everything',
    run: (trial) => cutEverywhere(trial, async (session, { source }) => [...(await list(session, source.stream)).objects.keys()]),
  },
  {
    name: 'cut-connection-in-delta',
    title: 'a delta whose connection is cut, at whatever request, fails so that it is tried again, or gives everything',
    run: (trial) =>
      cutEverywhere(trial, async (session, { source }, since) => {
        const intake = createIntake(source.stream);
        await readToEnd(session.readChanges(source.stream, since, await session.mark(source.stream)), intake);
        return [...intake.news].flatMap(([id, { kind }]) => (kind === 'object' ? [id] : []));
      }),
  },
  {
    name: 'rate-limit',
    title: 'a source that asks to be left alone is left alone: the read fails with RateLimited, or waits and gives everything',
    async run(trial) {
      const limitRate = can(trial.source.limitRate);
      const ids = await createMany(trial.source, 4 * trial.pageSize);
      for (const after of [0, 1]) {
        await using session = await trial.open();
        const failure = await failureOf(async () => {
          const { objects } = await list(session, trial.source.stream, (pages) => (pages === after ? limitRate() : Promise.resolve()));
          expectIds(objects.keys(), ids, 'a read during which the rate was limited');
        });
        demand(failure === undefined || failure.type === 'RateLimited', `limited after ${after} pages, it fails with ${tell(failure)}`);
      }
    },
  },
  {
    name: 'expired-sign-in',
    title: 'a sign-in that the source accepts no more ends in AuthenticationFailed, and never in a part of the objects',
    async run(trial) {
      const { source } = trial;
      const expireSignIn = can(source.expireSignIn);
      const ids = await createMany(source, 3 * trial.pageSize);
      await using session = await trial.open();
      const during = await failureOf(async () => {
        const { objects } = await list(session, source.stream, (pages) => (pages === 1 ? expireSignIn() : Promise.resolve()));
        expectIds(objects.keys(), ids, 'a read during which the sign-in expired');
      });
      demand(during === undefined || during.type === 'AuthenticationFailed', `the read under way fails with ${tell(during)}`);
      const later = await failureOf(async () => {
        await using another = await trial.open();
        await list(another, source.stream);
      });
      demand(later?.type === 'AuthenticationFailed', `the next read ends with ${tell(later)}`);
      demand(later.details.remedy !== undefined, 'the failure names no remedy');
    },
  },
  {
    name: 'lost-rights',
    title: 'rights that are taken away while a read is under way leave it without a seal, and later reads too',
    async run(trial) {
      const { source } = trial;
      const loseRights = can(source.loseRights);
      await createMany(source, 3 * trial.pageSize);
      await using session = await trial.open();
      const since = await session.mark(source.stream);
      const during = await failureOf(async () => {
        await list(session, source.stream, (pages) => (pages === 1 ? loseRights() : Promise.resolve()));
      });
      demand(during?.type === 'RightsMissing', `the complete read under way ends with ${tell(during)}`);
      await using another = await trial.open();
      const { findings } = await another.check();
      demand(
        findings.some(({ severity }) => severity === 'failure'),
        'the check of the source finds nothing wrong',
      );
      const delta = await failureOf(async () => {
        await readToEnd(another.readChanges(source.stream, since, await another.mark(source.stream)), createIntake(source.stream));
      });
      demand(delta?.type === 'RightsMissing', `a delta ends with ${tell(delta)}`);
    },
  },
  {
    name: 'cancelled',
    title: 'a read that is cancelled ends without a seal',
    async run(trial) {
      const { source } = trial;
      await createMany(source, 4 * trial.pageSize);
      const stop = new AbortController();
      await using session = await trial.open({ signal: stop.signal });
      const marker = await session.mark(source.stream);
      const read = session.readAll(source.stream, marker);
      await read.next();
      stop.abort(new Error('cancelled by the conformance kit'));
      const ended = await readToEnd(read, createIntake(source.stream)).then(
        () => true,
        () => false,
      );
      demand(!ended, 'it went on to its end');
    },
  },
];

/** Failures after which the engine tries the step again. */
const passing: readonly string[] = ['SourceUnavailable', 'RateLimited', 'ListingIncomplete'];

/** Makes the same read again and again, with the connection cut at its first request, at its second, and so on until a read passes uncut. */
async function cutEverywhere(
  trial: Trial,
  read: (session: Session, trial: Trial, since: Marker) => Promise<readonly string[]>,
): Promise<void> {
  const { source, pageSize } = trial;
  const [beforeRequest, cut] = [can(source.beforeRequest), can(source.cut)];
  await createMany(source, 1, 'Before');
  await using first = await trial.open();
  const since = await first.mark(source.stream);
  const before = [...(await list(first, source.stream)).objects.keys()];
  const ids = await createMany(source, 3 * pageSize + 1);
  let cuts = 0;
  for (let at = 1; cuts === at - 1; at += 1) {
    let requests = 0;
    beforeRequest(async () => {
      requests += 1;
      if (requests !== at) return;
      cuts += 1;
      await cut();
    });
    const failure = await failureOf(async () => {
      await using session = await trial.open();
      expectIds(
        (await read(session, trial, since)).filter((id) => !before.includes(id)),
        ids,
        `a read whose connection was cut at request ${at}`,
      );
    }).finally(() => beforeRequest(undefined));
    demand(
      cuts < at || failure === undefined || passing.includes(failure.type),
      `cut at request ${at}, it fails with ${tell(failure)}, which is not tried again`,
    );
    demand(cuts === at || failure === undefined, `uncut, it fails with ${tell(failure)}`);
  }
  demand(cuts >= Math.ceil(ids.length / pageSize), `only ${cuts} requests were seen for ${ids.length} objects in pages of ${pageSize}`);
}

function tell(failure: TidemarkFailure | undefined): string {
  return failure === undefined ? 'success' : `${failure.type} (${failure.message})`;
}
