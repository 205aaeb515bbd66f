import { readdir, readFile } from 'node:fs/promises';

/** Linux counts processor time in hundredths of a second (sysconf(_SC_CLK_TCK) is 100 on every platform that Node runs on). */
const ticksPerSecond = 100;

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  /** Its own time and that of children that have ended, user and system. */
  readonly seconds: number;
}

/**
 * Processor seconds so far of the trees of processes below these pids, and of what else this process has started, by its command's name. What
 * a busy machine takes from a measurement shows in wall-clock time alone.
 */
export async function cpuSeconds(roots: Readonly<Record<string, number>>): Promise<Readonly<Record<string, number>>> {
  const processes = await listProcesses();
  const treeOf = (pid: number): number =>
    processes.reduce((sum, found) => sum + (found.pid === pid ? found.seconds : found.parent === pid ? treeOf(found.pid) : 0), 0);
  const named = new Set(Object.values(roots));
  const others = processes.filter(
    ({ pid, parent, name }) => parent === process.pid && !named.has(pid) && /^(samba|slapd|postgres)/.test(name),
  );
  const own = processes.find(({ pid }) => pid === process.pid);
  return {
    bench: own?.seconds ?? 0,
    ...Object.fromEntries(others.map(({ pid }) => ['source', treeOf(pid)])),
    ...Object.fromEntries(Object.entries(roots).map(([name, pid]) => [name, treeOf(pid)])),
  };
}

async function listProcesses(): Promise<readonly Process[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const stats = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')));
  return stats.flatMap((stat) => {
    // The name stands in parentheses and may hold spaces; fields after it are numbered from 3 (proc(5)).
    const found = /^(\d+) \((.*)\) (.*)$/s.exec(stat);
    if (found === null) return [];
    const [, pid, name = '', rest = ''] = found;
    const fields = rest.split(' ');
    const ticks = [14, 15, 16, 17].reduce((sum, number) => sum + Number(fields[number - 3]), 0);
    return [{ pid: Number(pid), parent: Number(fields[1]), name, seconds: ticks / ticksPerSecond }];
  });
}
