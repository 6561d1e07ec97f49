import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Clock } from '../runtime/clock.ts'

const LOOK_EVERY_MS = 50
/** Then others take it from its holder. */
const HELD_AT_MOST_MS = 30_000

/** Takes the lock file once no living process holds it. @returns what gives it back @throws the signal's reason */
export async function takeStartLock(options: {
  path: string
  clock: Clock
  signal: AbortSignal | undefined
}): Promise<() => void> {
  const { path, clock, signal } = options
  const endsAt = clock.now() + HELD_AT_MOST_MS
  for (;;) {
    try {
      writeFileSync(path, `${process.pid}`, { flag: 'wx' })
      return () => rmSync(path, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      if (clock.now() > endsAt || !isHolderAlive(path)) rmSync(path, { force: true })
      else await clock.sleep(LOOK_EVERY_MS, signal)
    }
  }
}

function isHolderAlive(path: string): boolean {
  try {
    process.kill(Number(readFileSync(path, 'utf8')) || process.pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
