import { type Command, Option } from 'commander';
import { TidemarkFailure } from '../../model/failure.ts';
import type { RequestedMode } from '../../model/run.ts';
import { identitiesName } from '../../model/workflow-ids.ts';
import type { IdentityExplanation, ObjectName } from '../../store/identities/read.ts';
import { openClient } from '../context.ts';
import { table } from '../format.ts';
import { operator } from '../operator.ts';
import { addCommand, type CommonOptions, parseCount, withConnections } from '../options.ts';
import { print, printJson } from '../output.ts';
import { syncNow } from './sync.ts';

export function addIdentities(program: Command): void {
  const identities = program
    .command('identities')
    .description('people joined from the objects of several integrations')
    .addHelpText('after', '\nExample:\n  tidemark identities sync\n  tidemark identities list --ambiguous');
  withConnections(
    addCommand(
      identities,
      'list',
      'list identities with what belongs to them, or what belongs to none; with --json as NDJSON',
      'tidemark identities list --limit 20\ntidemark identities list --ambiguous\ntidemark identities list --unjoined --json',
    ),
  )
    .option('--ambiguous', 'objects that fit several identities and wait for a person to decide')
    .addOption(new Option('--unjoined', 'objects that fit no identity').conflicts('ambiguous'))
    .addOption(new Option('--limit <count>', 'at most this many; default: all').argParser(parseCount))
    .action(list);
  withConnections(
    addCommand(
      identities,
      'explain <identity-or-integration> [stream] [source-id]',
      'tell what an identity consists of, why, and where each value comes from; by its number or by one of its objects',
      'tidemark identities explain 17\ntidemark identities explain corp-ad users 6f9619ff-8b86-d011-b42d-00c04fc964ff',
    ),
  ).action(explain);
  addDecision(identities, 'join', 'to', 'decide that an object is of this person, whatever the rules say');
  addDecision(identities, 'split', 'from', 'decide that an object is not of this person, whatever the rules say');
  withConnections(
    addCommand(
      identities,
      'sync',
      'synchronize identities now, and show it; exits 0 done, 1 failed or cancelled, 3 done and some objects wait for a decision, 4 skipped',
      'tidemark identities sync\ntidemark identities sync --mode complete',
    ),
  )
    .addOption(
      new Option('--mode <mode>', 'complete looks at everything, delta at what changed; auto decides')
        .choices(['auto', 'complete', 'delta'])
        .default('auto'),
    )
    .option('--no-wait', 'do not wait for the end; prints the workflow id')
    .action(({ mode, ...options }: SyncOptions) => syncNow({ integration: identitiesName, mode }, options));
}

interface SyncOptions extends CommonOptions {
  readonly mode: RequestedMode;
  readonly wait: boolean;
}

interface ListOptions extends CommonOptions {
  readonly ambiguous?: true;
  readonly unjoined?: true;
  readonly limit?: number;
}

async function list({ ambiguous, unjoined, limit = Number.POSITIVE_INFINITY, json }: ListOptions): Promise<void> {
  await using client = await openClient();
  const rows: string[][] = [];
  let left = limit;
  const outside = ambiguous || unjoined;
  const source = outside ? client.unjoined(ambiguous ? 'ambiguous' : 'unjoined') : client.identities();
  for await (const row of source) {
    if (left-- <= 0) break;
    if (json) await printJson(row);
    else if ('objects' in row) rows.push([row.id, String(row.attributes.displayName ?? ''), row.objects.map(nameObject).join(', ')]);
    else rows.push([nameObject(row), row.rule ?? '', row.candidates.join(', ')]);
  }
  if (json) return;
  const header = outside ? ['object', 'rule', 'fits identities'] : ['identity', 'name', 'objects'];
  await print(
    rows.length === 0 ? (outside ? 'There are none.' : 'There are no identities. Run "tidemark identities sync".') : table(header, rows),
  );
}

/** `corp-ad/users 6f96...`. */
function nameObject({ integration, stream, sourceId }: ObjectName): string {
  return `${integration}/${stream} ${sourceId}`;
}

async function explain(first: string, stream: string | undefined, sourceId: string | undefined, { json }: CommonOptions): Promise<void> {
  await using client = await openClient();
  let id = first;
  if (stream !== undefined && sourceId !== undefined) {
    const object = { integration: first, stream, sourceId };
    const whose = await client.whose(object);
    if (whose === undefined) {
      throw new TidemarkFailure('InvalidConfiguration', `Identities know no object ${nameObject(object)}.`, {
        remedy: 'Is the stream one of identities.sources, and have identities been synchronized since the object came?',
      });
    }
    if (whose.identity === null) {
      if (json) return printJson(whose);
      const reasons = {
        ambiguous: `fits several identities: ${whose.candidates.join(', ')}. Decide with "tidemark identities join"`,
        unjoined: 'fits no identity, and its source is not authoritative',
        out: 'takes no part: it is deleted, or the filter of its source leaves it out',
        joined: 'has just been joined; run "tidemark identities sync"',
      };
      return print(`${nameObject(object)} ${reasons[whose.state]}.`);
    }
    id = whose.identity;
  }
  const found = await client.explainIdentity(id);
  if (found === undefined) {
    throw new TidemarkFailure('InvalidConfiguration', `There is no identity ${id}.`, {
      remedy: 'Find its number with "tidemark identities list", or name an object: integration, stream and source id.',
    });
  }
  await (json ? printJson(found) : print(formatExplanation(found)));
}

/** An identity's story, for people. */
export function formatExplanation({ id, endedAt, objects, attributes, decisions }: IdentityExplanation): string {
  const name = (object: ObjectName | null) => (object === null ? 'an object that is gone' : nameObject(object));
  return [
    `Identity ${id}${endedAt === null ? '' : `, ended ${endedAt}`}`,
    ...objects.map(
      (object) =>
        `  ${nameObject(object)}  ${object.rule === null ? 'is what it is of' : `joined by ${object.rule} with ${name(object.via)}`}`,
    ),
    ...Object.entries(attributes).map(
      ([attribute, { value, rule, object, lookedUp }]) =>
        `  ${attribute} = ${typeof value === 'string' ? value : JSON.stringify(value)}  from ${name(object)} by ${rule}${lookedUp === undefined ? '' : `, found in ${name(lookedUp)}`}`,
    ),
    ...decisions.map(
      ({ kind, object, other, by, why, at }) =>
        `  ${by} decided at ${at}: ${name(object)} ${kind === 'join' ? 'is' : 'is not'} of the same person as ${name(other)}${why === '' ? '' : `: ${why}`}`,
    ),
  ].join('\n');
}

interface DecideOptions extends CommonOptions {
  readonly to?: string;
  readonly from?: string;
  readonly by: string;
  readonly why: string;
}

function addDecision(identities: Command, kind: 'join' | 'split', preposition: 'to' | 'from', description: string): void {
  withConnections(
    addCommand(
      identities,
      `${kind} <integration> <stream> <source-id>`,
      description,
      `tidemark identities ${kind} corp-ad users 6f9619ff-8b86-d011-b42d-00c04fc964ff --${preposition} 17 --why "ticket 4711"`,
    ),
  )
    .requiredOption(`--${preposition} <identity>`, 'number of the identity, as "tidemark identities list" shows it')
    .option('--why <text>', 'the reason, for the record', '')
    .addOption(new Option('--by <name>', 'who decides, for the record').default(operator(), 'the user of this machine'))
    .action((integration: string, stream: string, sourceId: string, options: DecideOptions) =>
      decide(kind, { integration, stream, sourceId }, options),
    );
}

async function decide(kind: 'join' | 'split', object: ObjectName, { to, from, by, why, json }: DecideOptions): Promise<void> {
  await using client = await openClient();
  const decision = { ...object, identity: to ?? from ?? '', by, why };
  await (kind === 'join' ? client.joinIdentity(decision) : client.splitIdentity(decision));
  if (json) return printJson({ kind, ...decision });
  await print('Recorded. It takes effect with the next run: tidemark identities sync.');
}
