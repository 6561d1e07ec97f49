import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'

const read = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8')
const english = read('README.md')
const chinese = read('README.zh-CN.md')

/** Fenced and indented blocks, as they are. */
const codeOf = (text: string) =>
  [...text.matchAll(/^```\w*\n[\s\S]*?^```$|(?:^ {4}\S.*\n)(?:^ {4,}.*\n)*/gm)].map(([block]) => block)
const proseOf = (text: string) => codeOf(text).reduce((rest, block) => rest.replace(block, ''), text)
const all = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, what]) => what).sort()

test('README.md has at most 150 lines', () => {
  expect(english.trimEnd().split('\n').length).toBeLessThanOrEqual(150)
})

test('the Chinese README has the same headings, by their levels, and the same code', () => {
  const levels = (text: string) => [...proseOf(text).matchAll(/^(#+) /gm)].map(([, level]) => level)
  expect(levels(chinese)).toEqual(levels(english))
  expect(codeOf(english).length).toBeGreaterThan(6)
  expect(codeOf(chinese)).toEqual(codeOf(english))
})

test('it links to the same pages, and names the same settings, commands and values', () => {
  const links = (text: string) => all(proseOf(text), /\]\(([^)]+)\)/g).filter((link) => !link?.startsWith('README'))
  expect(links(chinese)).toEqual(links(english))
  const names = (text: string) => all(proseOf(text), /`([^`]+)`/g)
  expect(names(chinese)).toEqual(names(english))
})

test('it has as many points in each list, and rows in each table', () => {
  const lines = (text: string, begin: string) =>
    proseOf(text)
      .split('\n')
      .filter((line) => line.startsWith(begin)).length
  expect([lines(chinese, '- '), lines(chinese, '|')]).toEqual([lines(english, '- '), lines(english, '|')])
})
