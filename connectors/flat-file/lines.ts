import { fileFailure } from './failures.ts';
import { longestRow } from './rows.ts';

/** A text, line by line; neither the line feed nor a carriage return before it belongs to the line. */
export async function* linesOf(text: AsyncIterable<string>, file: string): AsyncGenerator<readonly string[], void> {
  let rest = '';
  let number = 0;
  for await (const piece of text) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop() ?? '';
    number += lines.length;
    if (rest.length > longestRow) {
      throw fileFailure(
        { file, line: number + 1 },
        'the line is longer than 16 MiB',
        'Nothing of it was applied. Check format and encoding.',
      );
    }
    yield lines.map(withoutReturn);
  }
  if (rest !== '') yield [withoutReturn(rest)];
}

export function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line;
}
