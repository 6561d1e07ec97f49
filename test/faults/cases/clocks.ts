import { setTimeout as sleep } from 'node:timers/promises'
import { type FaultCase, KNOWN_MS } from '../harness/fault-case.ts'
import { during, SOON, STEADY, underLoad, type WorkloadOptions } from '../harness/workload.ts'
import type { World } from '../harness/world.ts'

const MINUTE_MS = 60_000
const IN_TIME =
  'not before the deadline by the clock of the database, and within 30 s, even if there is no other worker'

/** Only the deadline of the job counts, and no sweep finds the orders. Nothing moves a deadline in the table alone. */
const NO_COLUMN = { ORDERS_DEADLINE_COLUMN: '' }
const BY_JOBS: WorkloadOptions = { ...SOON, fate: { unpaid: 11, paid: 1, 'paid-in-the-last-moment': 4 } }

function clockCase(options: {
  name: string
  injected: string
  offsetMs: number
  env?: Readonly<Record<string, string>>
  workload?: WorkloadOptions
  /** While the shop goes on. */
  meanwhile?: (world: World, setClock: (offsetMs: number) => void) => Promise<void>
}): FaultCase {
  const { name, injected, offsetMs, env, workload = SOON, meanwhile = async () => {} } = options
  return {
    name,
    injected,
    promise: IN_TIME,
    boundMs: KNOWN_MS,
    seconds: 20,
    world: { workers: 0, ...(env && { env }) },
    async run(world) {
      const clock = world.skewedClock()
      clock.setClock(offsetMs)
      await world.startWorkers(1, clock.env)
      return during(world, workload, () => meanwhile(world, clock.setClock))
    },
  }
}

export const clockCases: FaultCase[] = [
  clockCase({
    name: 'worker clock 5 min ahead',
    injected: 'Date shifted in the only worker, from its start',
    offsetMs: 5 * MINUTE_MS,
  }),
  clockCase({
    name: 'worker clock 5 min behind',
    injected: 'Date shifted in the only worker, from its start',
    offsetMs: -5 * MINUTE_MS,
  }),
  clockCase({
    name: 'worker clock 10 min behind, no deadline column',
    injected: 'Date shifted in the only worker, from its start; ORDERS_DEADLINE_COLUMN is empty',
    offsetMs: -10 * MINUTE_MS,
    env: NO_COLUMN,
    workload: BY_JOBS,
  }),
  clockCase({
    name: 'worker clock 10 min ahead, then set right',
    injected:
      'Date shifted in the only worker, from its start, until 2 s into the load; ORDERS_DEADLINE_COLUMN is empty',
    offsetMs: 10 * MINUTE_MS,
    env: NO_COLUMN,
    workload: BY_JOBS,
    async meanwhile(_, setClock) {
      await sleep(2_000)
      setClock(0)
    },
  }),
  clockCase({
    name: 'worker clock steps back 60 s',
    injected: 'Date shifted in the only worker, under load',
    offsetMs: 0,
    workload: STEADY,
    async meanwhile(world, setClock) {
      await underLoad(world)
      setClock(-MINUTE_MS)
    },
  }),
]
