import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { parse } from 'yaml'
import type { CommandContext } from '../../src/commands/context.ts'
import { createProgram } from '../../src/commands/program.ts'
import { readAlerts } from './queries.ts'

const FOLDER = 'deploy/prometheus'
const QUESTIONS = ['Means', 'Affects', 'Look at', 'Fix']

const alerts = readAlerts()
const runbook = readFileSync('docs/runbook.md', 'utf8')

/** What promtool prints. @throws where there is none */
function promtool(...args: string[]): { ok: boolean; output: string } {
  const { status, stdout, stderr, error } = spawnSync('promtool', args, { cwd: FOLDER, encoding: 'utf8' })
  if (error) throw new Error('expected promtool (node scripts/ensure-servers.mjs prometheus)', { cause: error })
  return { ok: status === 0, output: stdout + stderr }
}

test('promtool takes the rules', () => {
  expect(promtool('check', 'rules', 'rules.yaml')).toEqual({
    ok: true,
    output: expect.stringContaining(`SUCCESS: ${alerts.length} rules found`),
  })
})

test('the tests of the rules pass', () => {
  expect(promtool('test', 'rules', 'rules.test.yaml')).toEqual({ ok: true, output: expect.stringContaining('SUCCESS') })
})

describe('each alert', () => {
  test.each(alerts)('$alert has a case in which it fires, and one in which it must not', ({ alert }) => {
    const { tests } = parse(readFileSync(join(FOLDER, 'rules.test.yaml'), 'utf8')) as {
      tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[]
    }
    const cases = tests.flatMap((one) => one.alert_rule_test).filter(({ alertname }) => alertname === alert)
    const fires = cases.map(({ exp_alerts }) => exp_alerts.length > 0)
    expect(new Set(fires)).toEqual(new Set([true, false]))
  })

  test.each(alerts)('$alert says how bad it is, what it is, and where its section of the runbook is', (rule) => {
    const { alert, labels, annotations } = rule
    expect(alert).toMatch(/^OrderExpiry[A-Z][A-Za-z]+$/)
    expect(Object.keys(labels)).toEqual(['severity'])
    expect(Object.keys(annotations)).toEqual(['summary', 'description', 'runbook_url'])
    expect(annotations.summary).not.toMatch(/\.$/)
    expect(annotations.description).toMatch(/\.$/)
    expect(annotations.runbook_url).toBe(`docs/runbook.md#${alert.toLowerCase()}`)
    const section = sectionOf(alert)
    for (const question of QUESTIONS) expect(section).toContain(`\n**${question}:** `)
    expect(section.slice(section.indexOf('**Means:**'), section.indexOf('**Affects:**'))).toContain(
      `\`${labels.severity}\`.`,
    )
  })
})

test('the runbook has no section without an alert, and no link to one that is not there', () => {
  const sections = [...runbook.matchAll(/^## (.+)$/gm)].map(([, name]) => name)
  expect(sections).toEqual(alerts.map(({ alert }) => alert))
  const anchors = [...runbook.matchAll(/\]\(#(\w+)\)/g)].map(([, anchor]) => anchor)
  expect(sections.map((name) => name?.toLowerCase())).toEqual(expect.arrayContaining(anchors))
})

test('every command that the runbook names is there, with its options', () => {
  const { commands } = createProgram({ version: '0' } as CommandContext)
  const named = [...runbook.matchAll(/`order-expiry ([^`]+)`/g)].map(([, words = '']) => words.split(/\s+/))
  expect(named.length).toBeGreaterThan(15)
  for (const [name, ...rest] of named) {
    let command = commands.find((one) => one.name() === name)
    command = command?.commands.find((one) => one.name() === rest[0]) ?? command
    const options = command?.options.map(({ long }) => long)
    expect([name, options]).toEqual([name, expect.arrayContaining(rest.filter((word) => word.startsWith('--')))])
  }
})

function sectionOf(alert: string): string {
  const [, section = ''] = runbook.split(new RegExp(`^## ${alert}$`, 'm'))
  return section.split(/^## /m)[0] ?? ''
}
