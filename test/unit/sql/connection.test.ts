import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { type Driver, guarded } from '../../../connectors/sql/connection.ts';
import type { Answer } from '../../../connectors/sql/database.ts';
import { dialects } from '../../../connectors/sql/dialect.ts';
import { TidemarkFailure } from '../../../model/failure.ts';

setFlagsFromString('--expose_gc');
const collectGarbage = runInNewContext('gc') as () => void;

const question = { text: 'select', parameters: [] };

/** A database that answers as it is told. */
function driver(send: () => Promise<Answer>, signal = new AbortController().signal): Driver {
  return {
    dialect: dialects.standard,
    name: 'a database',
    settings: { connectTimeout: 60_000, requestTimeout: 60_000 },
    signal,
    open: async () => undefined,
    send,
    begin: 'begin',
    close: async () => undefined,
    destroy: () => undefined,
    fail: (error, what) => new TidemarkFailure('SourceUnavailable', `${what}: ${(error as Error).message}`, {}),
  };
}

describe('a connection', () => {
  test('keeps no answer that it has given', async () => {
    const given: WeakRef<Answer>[] = [];
    await using database = await guarded(
      driver(async () => {
        const answer = { columns: [], rows: [] };
        given.push(new WeakRef(answer));
        return answer;
      }),
    );
    for (let asked = 0; asked < 3; asked++) await database.ask(question, 'rows');
    await nextTurn();
    collectGarbage();
    expect(given.map((answer) => answer.deref())).toEqual([undefined, undefined, undefined]);
  });

  test('ends what waits for an answer when the read is cancelled, and answers nothing after it', async () => {
    const controller = new AbortController();
    const cancelled = new Error('cancelled');
    await using database = await guarded(driver(() => new Promise(() => undefined), controller.signal));
    const waiting = expect(database.ask(question, 'rows')).rejects.toBe(cancelled);
    await nextTurn();
    controller.abort(cancelled);
    await waiting;
    await expect(database.ask(question, 'rows')).rejects.toBe(cancelled);
  });
});
