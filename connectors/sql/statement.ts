import type { Column } from './columns.ts';
import type { Parameter, Statement } from './database.ts';
import type { Dialect } from './dialect.ts';

/** Puts a statement together: texts that are SQL, and values that only ever become parameters. */
export interface Builder {
  readonly dialect: Dialect;
  /** A place for a value of a column's kind. */
  bind(value: string, column: Pick<Column, 'kind' | 'type'>): string;
  build(text: string): Statement;
}

export function statementOf(dialect: Dialect): Builder {
  const parameters: Parameter[] = [];
  return {
    dialect,
    bind(value, column) {
      const { text, parameter } = dialect.bind(value, column, parameters.length + 1);
      parameters.push(parameter);
      return text;
    },
    build: (text) => ({ text, parameters }),
  };
}

/** The condition that a row comes behind another one in the order of these columns. */
export function behind(builder: Builder, columns: readonly Column[], values: readonly string[]): string {
  const names = columns.map((column) => qualified(builder.dialect, column));
  const bind = (index: number): string => builder.bind(values[index] ?? '', columns[index] as Column);
  if (columns.length === 1) return `${names[0]} > ${bind(0)}`;
  if (builder.dialect.comparesRows) return `(${names.join(', ')}) > (${columns.map((_, index) => bind(index)).join(', ')})`;
  // Parameters are numbered in the order of the text.
  const first = `${names[0]} >= ${bind(0)}`;
  const steps = columns.map((_, index) =>
    [...names.slice(0, index).map((name, earlier) => `${name} = ${bind(earlier)}`), `${names[index]} > ${bind(index)}`].join(' and '),
  );
  return `${first} and (${steps.map((step) => `(${step})`).join(' or ')})`;
}

/** The condition that the columns hold one of these keys. */
export function isOneOf(builder: Builder, columns: readonly Column[], keys: readonly (readonly string[])[]): string {
  const [only] = columns;
  if (columns.length === 1 && only !== undefined) {
    return `${qualified(builder.dialect, only)} in (${keys.map(([value = '']) => builder.bind(value, only)).join(', ')})`;
  }
  const one = (key: readonly string[]): string =>
    columns.map((column, index) => `${qualified(builder.dialect, column)} = ${builder.bind(key[index] ?? '', column)}`).join(' and ');
  return `(${keys.map((key) => `(${one(key)})`).join(' or ')})`;
}

/** A column of the table or query that a statement reads, which it calls `q`. */
export function qualified(dialect: Dialect, column: Pick<Column, 'name'>): string {
  return `q.${dialect.quote(column.name)}`;
}

export function allOf(conditions: readonly string[]): string {
  return conditions.length === 0 ? '' : ` where ${conditions.map((condition) => `(${condition})`).join(' and ')}`;
}
