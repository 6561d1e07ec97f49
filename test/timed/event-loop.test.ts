import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'
import { closing } from '../helpers/closing.ts'
import { redisUrl } from '../helpers/env.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

// In a process of its own: under Jest each use of a global takes many times as long.
// 10 ms on a quiet machine. A busy one only ever adds to it, so the least of the attempts is what the work itself takes.
test.each(['scheduleMany', 'schedule'])(
  '10,000 orders in %s do not hold up a shop for much over 10 ms',
  async (method) => {
    const raw = new RawQueue()
    closing.push(() => raw.close())
    const program = [resolve('test/helpers/longest-hold.mjs'), resolve('dist/index.js')]
    const { stdout } = await promisify(execFile)(process.execPath, [...program, redisUrl(), raw.name, method])
    const { holds, scheduled } = JSON.parse(stdout) as { holds: number[]; scheduled: number }
    expect(Math.min(...holds)).toBeLessThan(20)
    expect(scheduled).toBe(10_000 * holds.length)
    expect(await raw.queue.getDelayedCount()).toBe(scheduled)
  },
)
