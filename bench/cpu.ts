import { readFileSync } from 'node:fs'

/** The unit of /proc/PID/stat on Linux, whatever the machine. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
const TICKS_PER_SECOND = 100

/** Seconds that a process has computed so far, in user mode and in the kernel; 0 once it has ended. */
export function cpuSeconds(pid: number): number {
  try {
    return ticksOf(readFileSync(`/proc/${pid}/stat`, 'utf8')) / TICKS_PER_SECOND
  } catch {
    return 0
  }
}

/** The same with its children, such as the backends of PostgreSQL, and what ended children have left to it. */
export function cpuSecondsOfTree(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
    const own = (ticksOf(stat) + ticksOfEndedChildren(stat)) / TICKS_PER_SECOND
    return children.reduce((sum, child) => sum + cpuSecondsOfTree(child), own)
  } catch {
    return 0
  }
}

/** utime and stime. */
export function ticksOf(stat: string): number {
  return field(stat, 14) + field(stat, 15)
}

/** cutime and cstime. */
function ticksOfEndedChildren(stat: string): number {
  return field(stat, 16) + field(stat, 17)
}

/** By its number in proc(5). The second one is a name in parentheses, which may have spaces and parentheses in it. */
function field(stat: string, number: number): number {
  const afterName = stat.slice(stat.lastIndexOf(')') + 2)
  return Number(afterName.split(' ')[number - 3])
}
