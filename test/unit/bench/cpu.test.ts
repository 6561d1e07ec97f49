import { describe, expect, test } from '@jest/globals'
import { cpuSeconds, cpuSecondsOfTree, ticksOf } from '../../../bench/cpu.ts'

describe('the time that a process has computed', () => {
  test('is read past a name with spaces and parentheses', () => {
    const stat = '42 (a) (b c) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 7 3 20 0 11 0 5000 1000000 2000'
    expect(ticksOf(stat)).toBe(300)
  })

  test('grows while this one computes', () => {
    const before = cpuSeconds(process.pid)
    const since = process.cpuUsage()
    while (process.cpuUsage(since).user < 60_000); // microseconds: several ticks, however busy the machine is
    expect(cpuSeconds(process.pid)).toBeGreaterThan(before)
    expect(cpuSecondsOfTree(process.pid)).toBeGreaterThanOrEqual(cpuSeconds(process.pid))
  })

  test('is none for a process that is not there', () => {
    expect(cpuSeconds(2 ** 30)).toBe(0)
    expect(cpuSecondsOfTree(2 ** 30)).toBe(0)
  })
})
