import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from '@jest/globals'

const at = (name: string) => new URL(`../../${name}`, import.meta.url)
const read = (name: string) => readFileSync(at(name), 'utf8')
const english = read('README.md')

/** Only the Chinese README compares us with what its readers use today, before the first command. */
const COMPARISON = /<!-- begin comparison -->\n([\s\S]*?)<!-- end comparison -->\n/
const wholeChinese = read('README.zh-CN.md')
const comparison = COMPARISON.exec(wholeChinese)?.[1] ?? ''
const chinese = wholeChinese.replace(COMPARISON, '')

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

describe('the comparison in the Chinese README', () => {
  const performance = read('docs/performance.md')
  const cellsOf = (line: string) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim())

  /** What docs/performance.md says of a contender, by column, without ratios, in the table whose first column has this head. */
  function measured(name: string, section: string, head: string): Record<string, string | undefined> {
    const part = performance.split(`<!-- begin ${section} -->`)[1]?.split(`<!-- end ${section} -->`)[0] ?? ''
    const tables = part.split('\n\n').map((paragraph) => paragraph.split('\n').map(cellsOf))
    const [heads = [], ...rows] = tables.find(([heads = []]) => heads.length > 1 && heads[0] === head) ?? []
    const row = rows.find(([first]) => first?.replaceAll('*', '') === name) ?? []
    return Object.fromEntries(heads.map((title, index) => [title, row[index]?.replace(/ \(.*/, '')]))
  }

  test('stands before the first command, and is the only one', () => {
    const start = wholeChinese.indexOf('<!-- begin comparison -->')
    expect(start).toBeGreaterThan(0)
    expect(wholeChinese.indexOf('<!-- end comparison -->')).toBeLessThan(wholeChinese.indexOf('```'))
    expect(chinese).not.toContain('comparison -->')
    expect(english).not.toContain('comparison -->')
  })

  test('has the measured figures of each contender', () => {
    const rows = [...comparison.matchAll(/^\|[^|]*`([\w-]+)`.*$/gm)]
    expect(rows.map(([, name]) => name)).toEqual(['ours', 'bullmq', 'cron', 'keyspace'])
    for (const [row, name = ''] of rows) {
      const lateness = measured(name, 'lateness', '100/s')
      const burst = measured(name, 'burst', '')
      const late = ['p50', 'p99', 'max'].map((part) => `${lateness[`${part}, ms`]} ms`)
      expect(cellsOf(row).slice(1)).toEqual([...late, `${burst['settled, /s']} 单/s`])
      expect(burst['wrong, orders']).toBe('0') // none wrong, as it says
    }
    const rest = all(comparison, /([\d,.]+) (?:ms|单\/s)/g)
    expect(rest.length).toBe(rows.length * 4) // there are no others
  })

  test('names the run that they come from', () => {
    const machine = (name: string) => new RegExp(`^- ${name}: (.*)$`, 'm').exec(performance)?.[1] ?? `no ${name}`
    expect(comparison).toContain(`${machine('date').slice(0, 10)} 实测`)
    expect([machine('cores'), performance.includes('in 3 rounds')]).toEqual(['2', true])
    expect(comparison).toContain('双核，三轮取中位数')
    const versions = ['order-expiry', 'node', 'redis', 'postgres'].map(machine)
    const stated = /；order-expiry ([\d.]+)，Node ([\d.]+)，Redis ([\d.]+)，PostgreSQL ([\d.]+)，/.exec(comparison)
    expect(stated?.slice(1)).toEqual(versions)
    expect(performance).toContain('50,000 orders fall due in the same second')
    expect(comparison).toContain('50,000 单同一秒到期')
  })

  test('links to pages that exist', () => {
    const links = all(comparison, /\]\(([^)#]+)\)/g)
    expect(links.length).toBeGreaterThan(0)
    expect(links.filter((link) => !existsSync(at(link ?? '')))).toEqual([])
  })
})
