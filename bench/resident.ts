import { readFileSync } from 'node:fs'

/** Memory of a process, in bytes: what it has now, and the most it ever had. https://man7.org/linux/man-pages/man5/proc_pid_status.5.html */
export function residentBytes(pid: number): { now: number; peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1_024
  return { now: bytes('VmRSS'), peak: bytes('VmHWM') }
}
