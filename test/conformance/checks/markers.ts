import type { Session } from '../../../connectors/connector.ts';
import type { Marker, ServerIdentity } from '../../../model/marker.ts';
import type { ConformanceCheck } from '../check.ts';
import { expectAsReadAnew } from '../compare.ts';
import { freshCopy } from '../copy.ts';
import { createMany } from '../population.ts';
import { createIntake, list, readToEnd } from '../reading.ts';
import { can, demand, failureOf } from '../verdicts.ts';

const stranger: ServerIdentity = { id: 'a server that nobody has', name: 'elsewhere.example' };

/** When markers are taken, and which of them are believed. */
export const markerChecks: readonly ConformanceCheck[] = [
  {
    name: 'marker-before-reading',
    title:
      'a marker is taken before anything is read: what changes after it, before, during and at the end of a read, is in the next delta',
    async run(trial) {
      const { source } = trial;
      const ids = await createMany(source, 2 * trial.pageSize);
      await using session = await trial.open();
      const marker = await session.mark(source.stream);
      const changed: string[] = [];
      const change = async (): Promise<void> => {
        const id = ids[changed.length];
        if (id === undefined) return;
        changed.push(id);
        await source.change(id, 'Changed after the marker was taken');
      };
      await change();
      await list(session, source.stream, change);
      await using later = await trial.open({ server: marker.server });
      const intake = createIntake(source.stream);
      await readToEnd(later.readChanges(source.stream, marker, await later.mark(source.stream)), intake);
      const missed = changed.filter((id) => intake.news.get(id)?.kind !== 'object');
      demand(missed.length === 0, `the delta since a marker misses changes that were made after it was taken: ${missed.join(', ')}`);
      const copy = await freshCopy(trial);
      for (const round of [1, 2, 3]) {
        await source.change(ids[0] ?? '', `Round ${round}`);
        await copy.delta(() => source.change(ids[1] ?? '', `During round ${round}`));
      }
      await copy.delta();
      await expectAsReadAnew(trial, copy, 'after changes at the edges of deltas');
    },
  },
  {
    name: 'own-marker',
    title: 'a marker names its server and the time it was taken, and is judged valid by the session that took it and by a later one',
    async run(trial) {
      await using session = await trial.open();
      const marker = await session.mark(trial.source.stream);
      demand(marker.server.id === session.server.id, `it is of ${marker.server.id}, but the session is with ${session.server.id}`);
      demand(typeof marker.position === 'string', 'its position is no text');
      demand(
        /^\d{4}-\d\d-\d\dT.*Z$/.test(marker.takenAt) && !Number.isNaN(Date.parse(marker.takenAt)),
        `it was taken at ${marker.takenAt}`,
      );
      await createMany(trial.source, 1);
      await using later = await trial.open({ server: marker.server });
      for (const one of [session, later]) {
        const verdict = await one.judge(trial.source.stream, marker);
        demand(verdict.valid, `it is judged invalid: ${verdict.valid ? '' : verdict.reason}`);
      }
    },
  },
  {
    name: 'foreign-marker',
    title: 'a marker of another server is judged invalid',
    run: (trial) => withSession(trial, (session, marker) => demandInvalid(session, trial.source.stream, { ...marker, server: stranger })),
  },
  {
    name: 'foreign-server',
    title: 'a session with another server than the one asked for is refused with ServerChanged',
    async run(trial) {
      const failure = await failureOf(async () => {
        await using session = await trial.open({ server: stranger });
        await session.check();
      });
      demand(failure?.type === 'ServerChanged', `opening ends with ${failure?.type ?? 'success'}`);
    },
  },
  {
    name: 'unreadable-marker',
    title: 'a marker of another kind, or whose position makes no sense, is judged invalid',
    run: (trial) =>
      withSession(trial, async (session, marker) => {
        await demandInvalid(session, trial.source.stream, { ...marker, kind: 'no such kind' });
        await demandInvalid(session, trial.source.stream, { ...marker, position: 'no position at all' });
      }),
  },
  {
    name: 'expired-marker',
    title: 'a marker that is older than the source remembers changes is judged invalid',
    async run(trial) {
      const expired = can(trial.source.expired);
      await withSession(trial, (session, marker) => demandInvalid(session, trial.source.stream, expired(marker)));
    },
  },
  {
    name: 'marker-ahead',
    title: 'a marker that is ahead of the source, which was set back, is judged invalid',
    async run(trial) {
      const ahead = can(trial.source.ahead);
      await withSession(trial, (session, marker) => demandInvalid(session, trial.source.stream, ahead(marker)));
    },
  },
];

async function withSession(
  trial: Parameters<ConformanceCheck['run']>[0],
  work: (session: Session, marker: Marker) => Promise<void>,
): Promise<void> {
  await createMany(trial.source, 1);
  await using session = await trial.open();
  await work(session, await session.mark(trial.source.stream));
}

async function demandInvalid(session: Session, stream: string, marker: Marker): Promise<void> {
  const verdict = await session.judge(stream, marker);
  demand(!verdict.valid, `the marker ${JSON.stringify(marker)} is judged valid`);
  demand(verdict.reason !== '', 'the verdict says no reason');
}
