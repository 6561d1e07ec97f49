import { expect, test } from '@jest/globals'
import { describeFindings } from '../../../src/commands/doctor-report.ts'
import { finding } from '../../../src/doctor/finding.ts'

test('a line for what is fine; meaning and fixes for the rest, the latter never broken', () => {
  const fix = `CREATE INDEX CONCURRENTLY order_expiry_unpaid ON ${'x'.repeat(150)} (payment_deadline, id);`
  const lines = describeFindings([
    finding('ok', 'redis-version', { what: 'Redis 7.0.15' }),
    finding('warning', 'store-index', { what: 'none', meaning: 'word '.repeat(30).trim(), fix: ['# note', fix] }),
  ])
  const indent = ' '.repeat(26)
  expect(lines).toEqual([
    'redis',
    '  ok      version         Redis 7.0.15',
    '',
    'store',
    '  WARNING index           none',
    `${indent}${'word '.repeat(17).trim()}`,
    `${indent}${'word '.repeat(13).trim()}`,
    `${indent}fix: # note`,
    `${indent}     ${fix}`,
    '',
    'SQL statements:  psql "$DATABASE_URL", as the owner of the table or a superuser',
    '',
    '0 errors, 1 warning. What each means: docs/doctor.md',
  ])
})

test('nothing to complain of is said in so many words', () => {
  expect(describeFindings([finding('ok', 'redis-version', { what: 'x' })]).at(-1)).toBe('Everything is in order.')
})
