import { randomUUID } from 'node:crypto';
import { TidemarkFailure } from '../../model/failure.ts';
import { type Bridge, DriverError, startBridge } from './bridge.ts';
import type { ColumnKind } from './columns.ts';
import { type Connect, guarded } from './connection.ts';
import type { Answer } from './database.ts';
import { type Dialect, type DialectName, dialects } from './dialect.ts';
import { databaseFailure, type Refusal, refusalOfState } from './failures.ts';

/** Names of JDBC addresses (`jdbc:NAME:`) to dialects. Others are spoken to in standard SQL. */
const dialectNames: Readonly<Record<string, DialectName>> = {
  postgresql: 'postgresql',
  mysql: 'mysql',
  mariadb: 'mysql',
  h2: 'h2',
  sqlserver: 'sqlserver',
  jtds: 'sqlserver',
  oracle: 'oracle',
};

/** Levels of java.sql.Connection under which a transaction sees one state, the first that the driver takes. Snapshots have numbers of their own. */
const isolation: Readonly<Partial<Record<DialectName, string>>> = { h2: '6,4', sqlserver: '4096', oracle: '8' };

/** Signs in through JDBC drivers. The Java processes are its own: one for each set of jars, for all sessions. */
export function jdbcConnect(): Connect {
  const bridges = new Map<string, Bridge>();
  const users = new Map<Bridge, number>();
  return async ({ settings, password, signal, pace }) => {
    const { url, jdbc, user } = settings;
    if (jdbc === undefined) throw new Error('settings with a JDBC address have a driver');
    const key = JSON.stringify([jdbc.java, jdbc.jars]);
    let bridge = bridges.get(key);
    if (bridge === undefined || !bridge.isAlive()) {
      bridge = startBridge(jdbc);
      bridges.set(key, bridge);
    }
    const used = bridge;
    await used.ready;
    users.set(used, (users.get(used) ?? 0) + 1);
    let isOpen = true;
    const leave = (): void => {
      if (!isOpen) return;
      isOpen = false;
      const left = (users.get(used) ?? 1) - 1;
      users.set(used, left);
      if (left === 0) used.release();
    };
    const connection = randomUUID();
    const name = url.replace(/^jdbc:/, '').replace(/[;?].*$/, '');
    const dialect = dialectOf(url);
    const properties = Object.entries({
      ...jdbc.properties,
      ...(user === undefined ? {} : { user }),
      ...(password === '' ? {} : { password }),
    });
    const ask = (what: string, ...rest: readonly string[]) => used.ask(what, connection, ...rest);
    return guarded({
      dialect,
      name,
      settings,
      signal,
      ...(pace === undefined ? {} : { pace }),
      fail: (error, what) => failureOf(error, dialect.name, name, what),
      destroy() {
        used.ask('abort', connection).catch(() => undefined);
        leave();
      },
      open: async () => void (await ask('open', url, jdbc.driver ?? '', 'true', ...properties.flat())),
      async close() {
        await ask('close');
        leave();
      },
      async send({ text, parameters }) {
        const seconds = String(Math.ceil(settings.requestTimeout / 1_000));
        return answerOf(await ask('ask', seconds, text, ...parameters.flatMap(({ kind, value }) => [kind, value])));
      },
      begin: async () => void (await ask('begin', isolation[dialect.name] ?? '4,8')),
      end: async () => void (await ask('end')),
    });
  };
}

function dialectOf(url: string): Dialect {
  const dialect = dialects[dialectNames[/^jdbc:([^:]+):/.exec(url)?.[1]?.toLowerCase() ?? ''] ?? 'standard'];
  // The driver numbers parameters itself.
  return {
    ...dialect,
    bind: (value, column, position) => ({ ...dialect.bind(value, column, position), ...(dialect.name === 'mysql' ? {} : { text: '?' }) }),
  };
}

/** How many columns, then name, kind and type of each, then the cells. */
function answerOf(texts: readonly (string | null)[]): Answer {
  const count = Number(texts[0]);
  const columns = Array.from({ length: count }, (_, index) => {
    const [name, kind, type] = texts.slice(1 + index * 3, 4 + index * 3);
    return { name: name ?? '', kind: (kind ?? 'other') as ColumnKind, type: type ?? '' };
  });
  const cells = texts.slice(1 + count * 3);
  const rows = Array.from({ length: count === 0 ? 0 : cells.length / count }, (_, index) =>
    cells.slice(index * count, (index + 1) * count),
  );
  return { columns, rows };
}

/** Codes of vendors whose SQLSTATEs say too little. */
const refusals: Readonly<Partial<Record<DialectName, Readonly<Record<number, Refusal>>>>> = {
  mysql: {
    1040: 'busy',
    1044: 'rights',
    1045: 'sign-in',
    1049: 'missing',
    1054: 'missing',
    1142: 'rights',
    1143: 'rights',
    1146: 'missing',
    1203: 'busy',
    1226: 'busy',
    1969: 'too-slow',
    3024: 'too-slow',
  },
  h2: { 90096: 'rights', 90067: 'unavailable', 90121: 'unavailable', 57014: 'too-slow' },
  sqlserver: { 207: 'missing', 208: 'missing', 229: 'rights', 230: 'rights', 4060: 'missing', 18456: 'sign-in' },
  oracle: { 904: 'missing', 942: 'missing', 1017: 'sign-in', 1031: 'rights', 28000: 'sign-in' },
};

function failureOf(error: unknown, dialect: DialectName, name: string, what: string): TidemarkFailure {
  if (error instanceof TidemarkFailure) return error;
  if (!(error instanceof DriverError)) return databaseFailure('unavailable', name, what, '', error);
  const { state, code, exception } = error;
  if (exception.endsWith('ClassNotFoundException')) {
    return new TidemarkFailure('InvalidConfiguration', `None of the jars has a driver for ${name}`, {
      remedy: "Check jdbc.jars, and name the driver's class: jdbc: { driver: org.h2.Driver }.",
    });
  }
  const refusal =
    refusals[dialect]?.[code] ??
    (/CertPath|Certificate|SSLHandshake|SSLPeerUnverified/.test(exception) ? 'certificate' : undefined) ??
    (exception.endsWith('SQLTimeoutException') ? 'too-slow' : undefined) ??
    (state.startsWith('42S') ? 'missing' : refusalOfState(state)) ??
    'unavailable';
  return databaseFailure(refusal, name, what, [state, code === 0 ? '' : String(code)].filter((text) => text !== '').join(', '), error);
}
