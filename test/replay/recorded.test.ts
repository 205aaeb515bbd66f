import { DeterminismViolationError } from '@temporalio/workflow';
import { describe, expect, it } from 'vitest';
import { type HistoryJson, readHistory, recordedHistories } from './history-file.ts';
import { replay } from './replay.ts';

const names = await recordedHistories();

describe('a history recorded from a server', () => {
  it.each(names)('of %s is replayed by the workflows as they are now', async (name) => {
    await replay(await readHistory(name));
  });

  it('is refused if the workflows no longer do what it says', async () => {
    const history = await readHistory('sync-complete');
    const changed = JSON.parse(JSON.stringify(history).replace('{"name":"lookup"}', '{"name":"cleanup"}')) as HistoryJson;
    expect(changed).not.toEqual(history);
    await expect(replay(changed)).rejects.toThrow(DeterminismViolationError);
  });

  it.each(names)('of %s says nothing about the machine that recorded it', async (name) => {
    const history = await readHistory(name);
    const payloads = [...JSON.stringify(history).matchAll(/"data":"([^"]*)"/g)].map(([, data]) =>
      Buffer.from(data ?? '', 'base64').toString(),
    );
    expect([JSON.stringify(history), ...payloads].join('\n')).not.toMatch(/\d@|"identity"|"stackTrace"|\.[cm]?[jt]s:\d|file:/);
  });
});
