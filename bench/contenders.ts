import type { Contender } from './contender.ts'
import { bullmq, bullmqEmpty } from './contenders/bullmq.ts'
import { ours } from './contenders/ours.ts'

/** All, in the order in which the report shows them. */
export const contenders: readonly Contender[] = [ours, bullmq, bullmqEmpty]
