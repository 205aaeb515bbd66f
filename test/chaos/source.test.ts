import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ChaosMachine, startChaosMachine } from '../support/chaos-machine.ts';
import { type Crew, expectWhole, musterCrew, report, rounds, seed, syncAll } from '../support/chaos-rounds.ts';
import type { Exchange } from '../support/chaos-source.ts';

/** Where the connection is cut, by the name of the integration that it happens to; a listing that is shorter is cut before its end. */
const places: Readonly<Record<string, Pick<Exchange, 'request' | 'stream' | 'page'>>> = {
  position: { request: 'position', stream: '', page: 0 },
  'users-0': { request: 'list', stream: 'users', page: 0 },
  'users-1': { request: 'list', stream: 'users', page: 1 },
  'users-2': { request: 'list', stream: 'users', page: 2 },
  'users-3': { request: 'list', stream: 'users', page: 3 },
  'users-end': { request: 'list', stream: 'users', page: 4 },
  'groups-0': { request: 'list', stream: 'groups', page: 0 },
  'groups-end': { request: 'list', stream: 'groups', page: 1 },
  'ids-of-users': { request: 'ids', stream: 'users', page: 0 },
};

describe(`the connection to the source cut on each page, ${rounds} rounds, TIDEMARK_SEED=${seed}`, () => {
  let machine: ChaosMachine;
  let crew: Crew;
  beforeAll(async () => {
    machine = await startChaosMachine({ temporalCli: inject('temporalCli') });
    crew = await musterCrew(machine, 'cut', Object.keys(places));
    await machine.startWorker(crew.taskQueue, crew.server);
    await syncAll(machine, crew, 'complete');
  });
  const modeOf = (id: string, round: number) =>
    (round + crew.integrations.findIndex((member) => member.id === id)) % 2 === 0 ? 'complete' : 'delta';
  afterAll(() => machine?.[Symbol.asyncDispose]());

  it(
    'of complete syncs and of deltas: it is read again, and nothing is taken for absent',
    async () => {
      const cuts = { complete: 0, delta: 0 };
      // With several rounds each place is cut as often in each mode.
      for (let round = 0; round < (rounds === 1 ? 1 : rounds * 2); round += 1) {
        await crew.change();
        // Cut twice in the same place: the second attempt must not be trusted either.
        const left = new Map(crew.integrations.map(({ id }) => [id, 2]));
        crew.server.cut = ({ reader, request, stream, page, last }) => {
          const place = places[reader.slice('cut-'.length)];
          const wanted = left.get(reader) ?? 0;
          if (wanted === 0 || place?.request !== request || (place.stream !== '' && place.stream !== stream)) return false;
          if (page < place.page && !last) return false;
          left.set(reader, wanted - 1);
          cuts[modeOf(reader, round)] += 1;
          return true;
        };
        const launchers = await Promise.all(
          crew.integrations.map(({ id }) => machine.launch(crew.taskQueue, { integration: id, mode: modeOf(id, round) })),
        );
        const endings = await Promise.all(launchers.map((launcher) => machine.ending(launcher)));
        expect(endings.map(({ outcome, failure }) => failure ?? outcome)).toEqual(crew.integrations.map(() => 'succeeded'));
        crew.server.cut = () => false;
        await expectWhole(machine, crew);
      }
      expect(cuts.complete).toBeGreaterThan(0);
      expect(cuts.delta).toBeGreaterThan(0);
      report('connection cut on each page', { faults: cuts.complete + cuts.delta, ...cuts });
    },
    rounds * 300_000,
  );
});
