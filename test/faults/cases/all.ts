import type { FaultCase } from '../fault-case.ts'
import { clockCases } from './clocks.ts'
import { redisCases } from './redis.ts'
import { redisConnectionCases } from './redis-connections.ts'
import { workerCases } from './workers.ts'

/** Every fault of the suite, in the order of the table in docs/reliability.md. */
export const cases: readonly FaultCase[] = [...workerCases, ...redisCases, ...redisConnectionCases, ...clockCases]
