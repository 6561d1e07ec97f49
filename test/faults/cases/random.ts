import type { FaultCase } from '../harness/fault-case.ts'
import { randomCase } from './random-faults.ts'

export const randomCases: FaultCase[] = [
  randomCase({ name: 'random faults, one seed', ms: 30_000 }),
  randomCase({ name: 'random faults, another seed', ms: 30_000, salt: 1_000 }),
]
