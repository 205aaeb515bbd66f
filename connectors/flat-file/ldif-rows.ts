import { fileFailure } from './failures.ts';
import { linesOf } from './lines.ts';
import type { Cell, Row, RowsWanted } from './rows.ts';

interface LdifRecord {
  readonly line: number;
  /** Lower-case attribute description to values, in their order; `dn` and `changetype` among them. */
  readonly values: ReadonlyMap<string, readonly string[]>;
}

const again = 'Nothing of it was applied. Have the file written anew as LDIF (RFC 2849).';

/**
 * The records of an LDIF file (RFC 2849): folded lines, comments and base64 values. A value that is no text stays base64. Columns are
 * attribute names in any case, and `dn`. An attribute with several values is a list.
 */
export async function* ldifRows(text: AsyncIterable<string>, { file, columns }: RowsWanted): AsyncGenerator<readonly Row[], void> {
  const names = columns.map((column) => column.toLowerCase());
  for await (const { line, values } of recordsOf(text, file)) {
    const changetype = values.get('changetype')?.[0];
    const cells = names.map((name) => cellOf(values.get(name)));
    yield [
      {
        line,
        cells: () => cells,
        record: JSON.stringify(cells),
        ...(changetype === undefined ? {} : { changetype: changetype.toLowerCase() }),
      },
    ];
  }
}

function cellOf(values: readonly string[] | undefined): Cell {
  return values === undefined || values.length > 1 ? values : values[0] || undefined;
}

async function* recordsOf(text: AsyncIterable<string>, file: string): AsyncGenerator<LdifRecord, void> {
  let begin = 0;
  let values = new Map<string, string[]>();
  const finished = (): LdifRecord | undefined => {
    // `version: 1` stands before the first record, with or without an empty line.
    values.delete('version');
    if (values.size === 0) return undefined;
    if (!values.has('dn')) throw fileFailure({ file, line: begin }, 'the record does not begin with its dn', again);
    const record = { line: begin, values };
    values = new Map();
    return record;
  };
  for await (const { line, source } of unfolded(text, file)) {
    if (source === '') {
      const record = finished();
      if (record !== undefined) yield record;
      continue;
    }
    // Between the parts of a modification (RFC 2849): what it says is judged by its changetype.
    if (source === '-') continue;
    const { name, value } = attributeOf(source, { file, line });
    if (values.size === 0 || (values.size === 1 && values.has('version'))) begin = line;
    const known = values.get(name);
    if (known === undefined) values.set(name, [value]);
    else if (name === 'dn') throw fileFailure({ file, line }, 'a second dn in one record: an empty line is missing', again);
    else known.push(value);
  }
  const record = finished();
  if (record !== undefined) yield record;
}

/** Lines put together again, comments left out. A line that begins with a space goes on with the one before it (RFC 2849, note 2). */
async function* unfolded(text: AsyncIterable<string>, file: string): AsyncGenerator<{ line: number; source: string }, void> {
  let number = 0;
  let open: { line: number; parts: string[] } | undefined;
  for await (const lines of linesOf(text, file)) {
    for (const source of lines) {
      number += 1;
      if (source.startsWith(' ')) {
        if (open === undefined) throw fileFailure({ file, line: number }, 'it goes on with a line that is not there', again);
        open.parts.push(source.slice(1));
        continue;
      }
      if (open !== undefined && !open.parts[0]?.startsWith('#')) yield { line: open.line, source: open.parts.join('') };
      open = undefined;
      if (source === '') yield { line: number, source: '' };
      else open = { line: number, parts: [source] };
    }
  }
  if (open !== undefined && !open.parts[0]?.startsWith('#')) yield { line: open.line, source: open.parts.join('') };
}

function attributeOf(
  source: string,
  at: { readonly file: string; readonly line: number },
): { readonly name: string; readonly value: string } {
  const [, name, mark, value] = /^([A-Za-z0-9][A-Za-z0-9.;-]*):([:<]?) *(.*)$/s.exec(source) ?? [];
  if (name === undefined || value === undefined) throw fileFailure(at, 'it is no line of LDIF', again);
  if (mark === '<')
    throw fileFailure(at, `the value of ${name} is in another place (a URL), which is not read`, 'Have values written into the file.');
  return { name: name.toLowerCase(), value: mark === ':' ? fromBase64(value, name, at) : value };
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function fromBase64(text: string, name: string, at: { readonly file: string; readonly line: number }): string {
  const packed = text.trimEnd();
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(packed)) {
    throw fileFailure(at, `the value of ${name} is no base64: the line may have been cut`, again);
  }
  try {
    return utf8.decode(Buffer.from(packed, 'base64'));
  } catch {
    return packed;
  }
}
