import type { FaultCase } from '../harness/fault-case.ts'
import { brakeCases } from './brake.ts'
import { clockCases } from './clocks.ts'
import { jobCases } from './jobs.ts'
import { lockCases } from './locks.ts'
import { lostAnswerCases } from './lost-answers.ts'
import { oldTableCases } from './old-table.ts'
import { postgresCases } from './postgres.ts'
import { randomCases } from './random.ts'
import { redisCases } from './redis.ts'
import { redisConnectionCases } from './redis-connections.ts'
import { redisStoreCases } from './redis-store.ts'
import { shutdownCases } from './shutdown.ts'
import { tableCases } from './tables.ts'
import { workerCases } from './workers.ts'

/** Every fault of the suite, in the order of the table in docs/reliability.md. */
export const cases: readonly FaultCase[] = [
  ...workerCases,
  ...lockCases,
  ...redisCases,
  ...redisConnectionCases,
  ...lostAnswerCases,
  ...redisStoreCases,
  ...postgresCases,
  ...oldTableCases,
  ...tableCases,
  ...clockCases,
  ...jobCases,
  ...shutdownCases,
  ...brakeCases,
  ...randomCases,
]
