import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

/** Where the workflows' source is in a checkout. */
const workflowsEntry = fileURLToPath(new URL('../workflows/index.ts', import.meta.url));

/** The workflows as one script for Temporal's sandbox. Throws, with the bundler's own words, if they reach a Node built-in. */
export async function bundleWorkflows(): Promise<string> {
  const said: string[] = [];
  const keep = (message: string) => void said.push(message);
  const quiet = () => undefined;
  const logger = { log: quiet, trace: quiet, debug: quiet, info: quiet, warn: keep, error: keep };
  try {
    const { code } = await bundleWorkflowCode({ workflowsPath: workflowsEntry, logger });
    return code;
  } catch (error) {
    throw new Error(`The workflows can't be bundled: ${said.join('\n') || String(error)}`, { cause: error });
  }
}
