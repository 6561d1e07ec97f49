import { type FaultCase, KNOWN_MS, UNKNOWN_MS } from '../harness/fault-case.ts'
import { during, SOON, STEADY, underLoad } from '../harness/workload.ts'

const MINUTE_MS = 60_000

function clockOff(options: { name: string; offsetMs: number; promise: string; boundMs: number }): FaultCase {
  const { name, offsetMs, promise, boundMs } = options
  return {
    name,
    injected: 'Date shifted in the only worker, from its start',
    promise,
    boundMs,
    seconds: boundMs > KNOWN_MS ? 80 : 20,
    ...(offsetMs < 0 && { lateMs: 'none' as const }), // its queue is behind for good
    world: { workers: 0 },
    async run(world) {
      const { env, setClock } = world.skewedClock()
      setClock(offsetMs)
      await world.startWorkers(1, env)
      const startedAt = Date.now()
      await during(world, SOON, async () => {})
      return startedAt
    },
  }
}

export const clockCases: FaultCase[] = [
  clockOff({
    name: 'worker clock 5 min ahead',
    offsetMs: 5 * MINUTE_MS,
    promise: 'not before the deadline by the clock of the database, and within 30 s',
    boundMs: KNOWN_MS,
  }),
  clockOff({
    name: 'worker clock 5 min behind',
    offsetMs: -5 * MINUTE_MS,
    promise: 'within 90 s, even if there is no other worker',
    boundMs: UNKNOWN_MS,
  }),
  {
    name: 'worker clock steps back 60 s',
    injected: 'Date shifted in the only worker, under load',
    promise: 'within 90 s, even if there is no other worker',
    boundMs: UNKNOWN_MS,
    lateMs: 'none', // its queue is behind for good
    seconds: 80,
    world: { workers: 0 },
    async run(world) {
      const { env, setClock } = world.skewedClock()
      await world.startWorkers(1, env)
      return during(world, STEADY, async () => {
        await underLoad(world)
        setClock(-MINUTE_MS)
      })
    },
  },
]
