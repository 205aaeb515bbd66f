import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import type { ConfigProblem } from './problem.ts';

export type ConfigPath = readonly PropertyKey[];

export interface Position {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
}

/** Where a path is in the file, or the nearest part above it that is there. `key` asks for the key itself in place of its value. */
export type Locate = (path: ConfigPath, part?: 'key' | 'value') => Position;

export interface YamlSource {
  readonly value: unknown;
  readonly locate: Locate;
  /** Syntax errors and duplicate keys. */
  readonly problems: readonly ConfigProblem[];
}

/** Parses YAML 1.2 and keeps where everything was. */
export function parseYaml(text: string, file: string): YamlSource {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const position = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const problems = [...document.errors, ...document.warnings].map(({ code, message, pos }) => ({
    file,
    ...position(pos[0]),
    path: '',
    message: message.replace(/\.$/, ''),
    remedy:
      remedies[message.startsWith('Tags and anchors') ? 'TAG_RESOLVE_FAILED' : code] ??
      'Correct the YAML; texts with special characters belong in single quotes.',
  }));
  return {
    problems,
    value: problems.length > 0 ? undefined : document.toJS(),
    locate: (path, part = 'value') => {
      let node: Node | null = document.contents;
      let found = node;
      for (const [depth, step] of path.entries()) {
        if (isAlias(node)) {
          node = node.resolve(document) ?? null;
        }
        if (isMap(node)) {
          const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
          if (pair === undefined) {
            break;
          }
          const key = isNode(pair.key) ? pair.key : null;
          node = isNode(pair.value) ? pair.value : null;
          found = (part === 'key' && depth === path.length - 1) || startOf(node) === undefined || isCollectionBelow(node) ? key : node;
        } else if (isSeq(node)) {
          const item: unknown = node.items[Number(step)];
          if (!isNode(item)) {
            break;
          }
          node = item;
          found = item;
        } else {
          break;
        }
      }
      return position(startOf(found) ?? 0);
    },
  };
}

const remedies: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'Remove one of the two keys, or merge their contents.',
  TAG_RESOLVE_FAILED: 'Put a text that begins with an exclamation mark in single quotes: include: \'!source.name.endsWith("$")\'.',
  TAB_AS_INDENT: 'Indent with spaces.',
};

function startOf(node: Node | null): number | undefined {
  return node?.range?.[0];
}

/** A block of several lines is best pointed at by its key. */
function isCollectionBelow(node: Node | null): boolean {
  return (isMap(node) || isSeq(node)) && node.flow !== true;
}
