import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually } from '../../support/tidemark.ts';
import { startCommand, type TestCommand, unreachableIntegration } from './support.ts';

let command: TestCommand;
beforeAll(async () => {
  command = await startCommand({ TEST_PASSWORD: 'x' });
});
afterAll(() => command?.[Symbol.asyncDispose]());

it('a second Ctrl-C ends the command and leaves the sync to itself, which is cancelled when a worker comes', async () => {
  const id = command.temporal.integrationId('interrupted');
  await command.write(`integrations:\n${unreachableIntegration(id)}`);
  expect((await command.run('apply')).stderr).toBe('');
  const sync = command.start('sync', id);
  await sync.line('No worker has taken the sync up yet');
  sync.signal('SIGINT');
  await sync.line('Cancelling; Ctrl-C again leaves it to itself.');
  const { client } = command.temporal;
  const launcher = await eventually('the request', async () => {
    for await (const { workflowId } of client.workflow.list({ query: `IntegrationId = '${id}' AND ExecutionStatus = 'Running'` }))
      return client.workflow.getHandle(workflowId);
    return undefined;
  });
  sync.signal('SIGINT');
  const { code, stdout, stderr } = await sync.ended;
  expect(stderr).toContain(`Left to itself: "tidemark status" shows what becomes of ${launcher.workflowId}.`);
  expect(stdout).toBe('');
  expect(code).toBe(1);
  await launcher.cancel();
  const worker = command.start('worker');
  await expect(launcher.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
  worker.signal('SIGTERM');
  expect((await worker.ended).code).toBe(0);
});
