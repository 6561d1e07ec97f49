import { describe, expect, test } from '@jest/globals'
import { nextStep } from '../../src/order/next-step.ts'
import type { Settle } from '../../src/order/settle.ts'
import type { OrderStore } from '../../src/order/store.ts'
import { search } from './property.ts'
import { scenario } from './scenario.ts'
import type { Flaws } from './simulation.ts'

/** Runs until a flaw must have shown. */
const RUNS = 4_000
/** A machine that does other things beside this may take its time. */
const TIMEOUT_MS = 300_000

const settlesErrorsAsKept =
  (settle: Settle): Settle =>
  async (checks) =>
    (await settle(checks)).map((settlement) =>
      settlement.kind === 'failed' ? { kind: 'kept', status: 'unknown', evidence: { decidedAt: 0 } } : settlement,
    )

const hangsInOutages =
  (settle: Settle): Settle =>
  async (checks) => {
    const settlements = await settle(checks)
    return settlements.some(({ kind }) => kind === 'failed') ? new Promise(() => {}) : settlements
  }

const swapsOutcomes =
  (settle: Settle): Settle =>
  async (checks) =>
    (await settle(checks)).reverse()

const finishesWhatIsPostponed: typeof nextStep = (options) => {
  const { settlement } = options
  if (settlement.kind !== 'postponed') return nextStep(options)
  return { kind: 'finish', outcome: { kind: 'kept', status: 'pending', evidence: settlement.evidence } }
}

const givesUpInOutages: typeof nextStep = (options) => {
  const { settlement } = options
  return settlement.kind === 'failed' ? { kind: 'give-up', error: settlement.error } : nextStep(options)
}

/** The cursor skips the first order after each page. */
const skips = (store: OrderStore): OrderStore => ({
  ...store,
  unpaidDueBefore: async (instant, after, limit) => {
    const page = await store.unpaidDueBefore(instant, after, limit + 1)
    return after ? page.slice(1) : page.slice(0, limit)
  },
})

const seesNothing = (store: OrderStore): OrderStore => ({ ...store, unpaidDueBefore: async () => [] })

const flaws: [string, Flaws, RegExp][] = [
  ['a store that ignores the deadline', { store: 'ignores the deadline' }, /^I4/m],
  ['a store that ignores the status', { store: 'ignores the status' }, /^I1/m],
  ['a store that ignores locks', { store: 'ignores locks' }, /^I1/m],
  ['a store that announces nothing', { store: 'announces nothing' }, /^I3/m],
  ['a store that announces after the commit', { store: 'announces after the commit' }, /^I3/m],
  ['a settle that takes errors for kept orders', { settle: settlesErrorsAsKept }, /^I2.* finished as kept/m],
  ['a settle that mixes up the outcomes of a batch', { settle: swapsOutcomes }, /^I2.* finished as/m],
  ['a settle that hangs in an outage', { settle: hangsInOutages }, /^I7.* stands still/m],
  ['a worker that finishes what is postponed', { nextStep: finishesWhatIsPostponed }, /^I2.* finished as kept/m],
  ['a worker that gives up in an outage', { nextStep: givesUpInOutages }, /^I6.* failed/m],
  ['a sweep that sees nothing', { swept: seesNothing }, /^I2: order \S+ (is still unpaid|was cancelled \d+ ms after)/m],
  ['a sweep whose cursor skips', { swept: skips }, /^I2: order \S+ (is still unpaid|was cancelled \d+ ms after)/m],
  ['a breaker that never closes', { ping: () => Promise.reject(new Error('never')) }, /^I2.* breaker/m],
  ['a brake that takes nothing back', { brake: 'takes nothing back' }, /^brake: engaged/m],
  [
    'a brake that sees payments where none are',
    { store: 'says that somebody has just paid' },
    /^brake: .* in silence/m,
  ],
  [
    'a brake that begins a new minute when Redis is emptied',
    { brake: 'begins a new minute' },
    /^brake: \d+ cancelled within a minute/m,
  ],
  [
    'a brake that takes unknown for released',
    { brake: 'takes unknown for released' },
    /^brake: cancelled before its state was read/m,
  ],
  ['a brake that forgets to count', { brake: 'forgets to count' }, /^brake: \d+ cancelled within a minute/m],
  [
    'a brake that forgets that it is engaged',
    { brake: 'forgets that it is engaged' },
    /^brake: cancelled while engaged/m,
  ],
]

describe('the simulation finds', () => {
  test.each(flaws)(
    '%s',
    async (_, flaw, violation) => {
      const { failure } = await search({ scenarios: scenario, seed: 1, numRuns: RUNS, flaws: flaw, finds: violation })
      expect(failure?.violations.join('\n')).toMatch(violation)
    },
    TIMEOUT_MS,
  )
})
