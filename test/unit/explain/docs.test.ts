import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { OUTCOMES, VERDICT_CODES } from '../../../src/explain/answer.ts'
import { EVENT_CODES } from '../../../src/explain/time-line.ts'

const page = readFileSync('docs/explain.md', 'utf8')

test('docs/explain.md has every code of a verdict, with its outcome, and no other', () => {
  let outcome = ''
  const told = page.split('\n').flatMap((line) => {
    const [, first, codes] = /^\| (`[a-z-]+`|) ?\| ((?:`[A-Z_]+`(?:, )?)+) \|/.exec(line) ?? []
    if (codes === undefined) return []
    outcome = first?.replaceAll('`', '') || outcome
    return [...codes.matchAll(/[A-Z_]+/g)].map(([code]) => [code, outcome])
  })
  expect(Object.fromEntries(told)).toEqual(OUTCOMES)
  expect(told).toHaveLength(VERDICT_CODES.length)
})

test('docs/explain.md has every code of an event', () => {
  const section = /## The events\n(.*?)\n## /s.exec(page)?.[1] ?? ''
  const told = [...section.matchAll(/`([A-Z_]+)`/g)].map(([, code]) => code)
  expect(told.sort()).toEqual([...EVENT_CODES].sort())
})
