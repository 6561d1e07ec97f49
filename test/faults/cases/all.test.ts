import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { PAGE } from '../report/report.ts'
import { cases } from './all.ts'
import { MAIN_CASES } from './main.ts'

const names = cases.map(({ name }) => name)

test('every fault stands in the table of docs/reliability.md', () => {
  const page = readFileSync(PAGE, 'utf8')
  expect(names.filter((name) => !page.includes(`| ${name} |`))).toEqual([])
})

test('no two faults have the same name', () => {
  expect(new Set(names).size).toBe(cases.length)
})

test('the faults that matter most are among them', () => {
  expect(names).toEqual(expect.arrayContaining([...MAIN_CASES]))
})
