import type { Command } from 'commander';
import type { Explanation } from '../../model/explanation.ts';
import { openClient } from '../context.ts';
import { indent, table } from '../format.ts';
import { addCommand, type CommonOptions, withConnections } from '../options.ts';
import { print, printJson } from '../output.ts';

export function addExplain(program: Command): void {
  withConnections(
    addCommand(
      program,
      'explain <integration> <stream> <key>',
      'tell one object by source id, look-up key (DN), user name or e-mail: what the source says now, what is stored, and why',
      'tidemark explain corp-ad users anna.berg\ntidemark explain corp-ad groups "CN=Staff,OU=Groups,DC=corp,DC=example" --json',
    ),
  ).action(explain);
}

async function explain(integration: string, stream: string, key: string, { json }: CommonOptions): Promise<void> {
  await using client = await openClient();
  const explanation = await client.explain(integration, stream, key);
  await (json ? printJson(explanation) : print(formatExplanation(explanation)));
}

/** One object's story, for people. */
export function formatExplanation(story: Explanation): string {
  const { stored, trace, links, linkCounts, changes } = story;
  const parts = [
    `${story.integration} ${story.stream} ${story.sourceId}: ${story.standing}`,
    indent(story.why.join('\n')),
    stored === null
      ? 'Stored: nothing'
      : `Stored: ${stored.key ?? 'no key'}, created ${stored.createdAt}, changed ${stored.updatedAt}${stored.currentMapping ? '' : ', with an earlier mapping'}`,
  ];
  if (trace !== null) {
    const rows = trace.attributes.map(({ attribute, expression, source, result, problem, stored: before, differs }) => [
      differs ? '*' : '',
      attribute,
      expression,
      Object.entries(source)
        .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
        .join(' '),
      problem ?? JSON.stringify(result),
      JSON.stringify(before),
    ]);
    parts.push(
      `Mapping (* differs from what is stored):\n${indent(table(['', 'attribute', 'expression', 'source now', 'result', 'stored'], rows))}`,
    );
  } else if (stored !== null) {
    parts.push(
      `Stored attributes:\n${indent(
        table(
          ['attribute', 'value'],
          Object.entries(stored.attributes).map(([name, value]) => [name, JSON.stringify(value)]),
        ),
      )}`,
    );
  }
  if (links.length > 0) {
    const rows = links.map(({ kind, target, targetStream, targetKey, stored: state, inSource }) => [
      kind,
      target,
      [targetStream, targetKey].filter(Boolean).join(' '),
      state,
      inSource === null ? 'not known' : inSource ? 'yes' : 'no',
    ]);
    const counts = Object.entries(linkCounts).map(([kind, number]) => `${kind} ${number}`);
    parts.push(`Links (${counts.join(', ')}):\n${indent(table(['kind', 'target', '', 'stored', 'in the source now'], rows))}`);
  }
  if (changes.length > 0) {
    const rows = changes.map(({ run, mode, at, kind, link, target }) => [
      run,
      mode ?? '',
      at,
      kind,
      [link, target].filter(Boolean).join(' '),
    ]);
    parts.push(`Runs that touched it, the newest first:\n${indent(table(['run', 'mode', 'at', 'change', 'link'], rows))}`);
  }
  return parts.join('\n\n');
}
