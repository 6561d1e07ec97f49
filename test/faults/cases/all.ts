import { type FaultCase, wrapped } from '../harness/fault-case.ts'
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
import { stockCases } from './stock.ts'
import { tableCases } from './tables.ts'
import { workerCases } from './workers.ts'

/** Those in which a worker fails, or Redis, or the connection between them: there it matters by whose scripts workers go. */
const WITH_WRAPPED_CLAIMS: ReadonlySet<string> = new Set([
  'worker killed before the cancelling transaction',
  'worker killed in the cancelling transaction',
  'worker killed after the cancelling transaction',
  'worker stopped for 40 s in the middle of a batch',
  'Redis away for 14 s',
  'memory limit of Redis reached',
  'scripts forgotten in a burst',
  'replica promoted in a burst',
  'lost reply to a fetch, cut',
  'lost reply to a fetch, half open',
  'lost reply to a finish, cut',
  'lost reply to a finish, half open',
  'lost reply to a put-back, cut',
  'lost reply to a put-back, half open',
  'jobs that BullMQ cannot read',
  'random faults, another seed',
])

const faults: readonly FaultCase[] = [
  ...workerCases,
  ...lockCases,
  ...redisCases,
  ...redisConnectionCases,
  ...lostAnswerCases,
  ...redisStoreCases,
  ...postgresCases,
  ...stockCases,
  ...oldTableCases,
  ...tableCases,
  ...clockCases,
  ...jobCases,
  ...shutdownCases,
  ...brakeCases,
  ...randomCases,
]

/** Every fault of the suite, in the order of the table in docs/reliability.md. */
export const cases: readonly FaultCase[] = [
  ...faults,
  ...faults.filter(({ name }) => WITH_WRAPPED_CLAIMS.has(name)).map(wrapped),
]
