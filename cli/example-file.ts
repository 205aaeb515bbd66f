import type { ProposedSchedule } from '../model/schedules.ts';

export interface ExampleOptions {
  readonly url: string;
  readonly bindDn: string;
  readonly baseDn: string;
  /** Objects that the cadence was proposed for. */
  readonly users: number;
  readonly cadence: readonly ProposedSchedule[];
}

/** A commented configuration file to begin with. */
export function exampleFile({ url, bindDn, baseDn, users, cadence }: ExampleOptions): string {
  return `# Tidemark's configuration. "tidemark check" asks the source, "tidemark apply" puts it into force.
integrations:
  # The name of the integration, as commands and tables show it.
  corp-ad:
    connector: active-directory
    settings:
      # Tried in this order; one run reads from one domain controller.
      urls: [${quote(url)}]
      bindDn: ${quote(bindDn)}
      # Where the password is: { env: NAME } or { file: PATH }; never the password itself.
      bindPassword: { env: CORP_AD_PASSWORD }
      # What to read lies at or below this.
      baseDn: ${quote(baseDn)}

    # Without this block every stream is synced, with the connector's own filters and mapping.
    # streams:
    #   users:
    #     filter: (&(objectCategory=person)(objectClass=user))
    #     # Objects for which this is not true are out of scope.
    #     include: '!source.sAMAccountName.endsWith("$")'
    #     # Laid over the connector's mapping: an attribute here, and where its value comes from.
    #     mapping: { costCenter: source.extensionAttribute1 }
    #   groups: {}

    # Proposed for about ${users} objects. auto reads what changed, and everything when the last complete sync is too old.
    schedules:
${cadence.map((schedule) => `      - { ${scheduleText(schedule)} }`).join('\n')}

    steps:
      cleanup:
        # Or deactivate: the objects stay, inactive.
        action: delete
        # More deletions than this in one run are held for approval; none are up to the floor.
        limits: { count: 500, percent: 10, floor: 10 }
`;
}

function scheduleText({ mode, every, cron, completeEvery }: ProposedSchedule): string {
  return [
    `mode: ${mode}`,
    ...(every === undefined ? [] : [`every: ${every}`]),
    ...(cron === undefined ? [] : [`cron: ${cron}, timezone: UTC`]),
    ...(completeEvery === undefined ? [] : [`completeEvery: ${completeEvery}`]),
  ].join(', ');
}

/** YAML's double-quoted style takes every JSON string. */
function quote(text: string): string {
  return JSON.stringify(text);
}
