import type { Contender } from './contender.ts'
import { before } from './contenders/before.ts'
import { bullmq, bullmqEmpty } from './contenders/bullmq.ts'
import { cron } from './contenders/cron.ts'
import { graphileWorker } from './contenders/graphile-worker.ts'
import { keyspace } from './contenders/keyspace.ts'
import { ours } from './contenders/ours.ts'
import { oursWrapped } from './contenders/ours-wrapped.ts'
import { pgBoss } from './contenders/pg-boss.ts'
import { sortedSet } from './contenders/sorted-set.ts'

/** All, in the order in which the report shows them. */
export const contenders: readonly Contender[] = [
  ours,
  oursWrapped,
  before,
  bullmq,
  graphileWorker,
  pgBoss,
  keyspace,
  cron,
  bullmqEmpty,
  sortedSet,
]
