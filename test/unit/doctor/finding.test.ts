import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { examine, FINDING_CODES, finding } from '../../../src/doctor/finding.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

test('docs/doctor.md explains every code, and no other', () => {
  const text = readFileSync('docs/doctor.md', 'utf8')
  const explained = [...text.matchAll(/^\| `((?:redis|store|queue)-[a-z-]+)`/gm)].map(([, code]) => code)
  expect(explained.sort()).toEqual([...FINDING_CODES].sort())
})

test('the subject is the first word of the code; what is not said is not there', () => {
  expect(finding('ok', 'store-cancel-sql', { what: 'x' })).toEqual({
    level: 'ok',
    subject: 'store',
    code: 'store-cancel-sql',
    what: 'x',
  })
  expect(finding('error', 'redis-role', { what: 'x', meaning: 'y', fix: ['# a', 'b'] })).toMatchObject({
    meaning: 'y',
    fix: '# a\nb',
  })
})

test('a look that throws is a finding', async () => {
  const look = async () => {
    throw new Error('out of the blue')
  }
  expect(await examine({ code: 'queue-counts', withinMs: 1_000, clock: systemClock, look })).toEqual([
    finding('error', 'queue-counts', { what: 'could not be checked: out of the blue' }),
  ])
})

test('a look that does not end is a finding', async () => {
  const clock = new FakeClock()
  const found = examine({ code: 'store-overdue', withinMs: 5_000, clock, look: () => new Promise(() => {}) })
  await clock.advance(5_000)
  expect(await found).toEqual([
    finding('error', 'store-overdue', { what: 'could not be checked: no answer within 5 s' }),
  ])
})
