import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { PRESENT_TIME_AT } from '../../../src/queue/worker/redis-time.ts'

const SCRIPTS = 'node_modules/bullmq/dist/cjs/scripts'
/** Of BullMQ's scripts that are given the present time, those that a worker of ours never calls. */
const NOT_OURS = [
  'addDelayedJob',
  'addJobScheduler',
  'addParentJob',
  'addPrioritizedJob',
  'addStandardJob',
  'cleanJobsInSet',
  'moveJobsToWait',
  'moveToWaitingChildren',
  'relayPublish',
  'releaseParentIfNoPendingDependencies',
  'reprocessJob',
  'updateJobScheduler',
]

/** Which argument of each script of BullMQ is the present time, by the comment at its beginning. */
function presentTimes(): Record<string, number> {
  const found: Record<string, number> = {}
  for (const file of readdirSync(SCRIPTS)) {
    const [header = ''] = readFileSync(`${SCRIPTS}/${file}`, 'utf8').split(']]')
    const position = /ARGV\[(\d)\]\s+(?:current )?timestamp/.exec(header)?.[1]
    if (position) found[file.split('-')[0] as string] = Number(position)
  }
  return found
}

test("every script of BullMQ's that a worker calls with the present time takes that of Redis", () => {
  const ours = Object.entries(presentTimes()).filter(([name]) => !NOT_OURS.includes(name))
  expect(Object.fromEntries(ours)).toEqual(PRESENT_TIME_AT)
})
