import { describe, expect, test } from '@jest/globals'
import { instantOf, isMonotonic, isUtc, type TimeColumn, valueAt } from '../../../../src/stores/postgres/instants.ts'

const column: TimeColumn = { sql: '"due"', type: 'timestamptz', zone: 'UTC', unitMs: 1, afterMs: 0 }

describe('isUtc', () => {
  test.each(['UTC', 'utc', 'Etc/UTC', 'GMT', 'Zulu', 'Etc/GMT+0', 'Universal'])('%s is UTC', (zone) => {
    expect(isUtc(zone)).toBe(true)
  })
  test.each(['Europe/London', 'Etc/GMT+5', 'America/New_York', 'UTC+1', 'UTC-5', ''])('%s is not', (zone) => {
    expect(isUtc(zone)).toBe(false)
  })
})

test('a column that may be indexed stands alone: what it is compared with is converted', () => {
  expect(valueAt(column, 'now()', 'atMost')).toBe('now()')
  const after = { ...column, afterMs: 1_800_000 }
  expect(valueAt(after, 'now()', 'atMost')).toBe(`(now() - interval '1800000 milliseconds')`)
  const local: TimeColumn = { ...column, type: 'timestamp', zone: "o'clock" }
  expect(valueAt(local, 'now()', 'atMost')).toBe(`(now() AT TIME ZONE 'o''clock')`)
  const seconds: TimeColumn = { ...column, type: 'number', unitMs: 1_000 }
  expect(valueAt(seconds, 'now()', 'atMost')).toMatch(/^floor\(.* \* 1, .*\)::bigint$/)
  expect(valueAt(seconds, 'now()', 'atLeast')).toMatch(/^ceil\(/)
})

test('what the column means', () => {
  expect(instantOf(column, 'o')).toBe('o."due"')
  expect(instantOf({ ...column, type: 'timestamp', zone: 'Asia/Shanghai' }, 'o')).toMatch(
    /AT TIME ZONE 'Asia\/Shanghai'\)$/,
  )
  expect(instantOf({ ...column, type: 'number', unitMs: 1_000 }, 'o')).toContain('o."due"::float8 / 1')
  expect(instantOf({ ...column, type: 'number' }, 'o')).toContain('o."due"::float8 / 1000')
  expect(instantOf({ ...column, afterMs: 60_000 }, 'o')).toMatch(/\+ interval '60000 milliseconds'\)$/)
})

test('only local times can come twice', () => {
  expect(isMonotonic(column)).toBe(true)
  expect(isMonotonic({ ...column, type: 'timestamp' })).toBe(true)
  expect(isMonotonic({ ...column, type: 'timestamp', zone: 'Europe/Berlin' })).toBe(false)
  expect(isMonotonic({ ...column, type: 'number', zone: 'Europe/Berlin' })).toBe(true)
})
