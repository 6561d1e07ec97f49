import type { IRedisClient } from 'bullmq'
import type { ScriptClient } from '../../redis/fast-scripts.ts'

/** BullMQ's scripts that say when a job is due, or take those that are; and which argument of each is the present time. */
export const PRESENT_TIME_AT: Readonly<Record<string, number>> = {
  moveToActive: 2,
  moveToFinished: 2,
  moveToDelayed: 2,
  retryJob: 2,
  changeDelay: 2,
  moveStalledJobsToWait: 3,
}

/** Runs before BullMQ's unchanged script, in place of the time that the caller gave. */
const byRedisClock = (position: number) => `
local time = redis.call('TIME')
ARGV[${position}] = time[1] .. string.format('%03d', math.floor(time[2] / 1000))
`

/**
 * From now on, these scripts go by the clock of Redis on this client of BullMQ, and a delay counts from there. BullMQ gives
 * them the clock of the worker: a check that one worker postpones would come late for another, or after its own clock was set.
 */
export function goByRedisTime(client: IRedisClient): void {
  const { scriptsSet } = client as IRedisClient & ScriptClient
  for (const [name, position] of Object.entries(PRESENT_TIME_AT)) {
    const key = Object.keys(scriptsSet).find((key) => key.split(':')[0] === name)
    const script = scriptsSet[key ?? '']
    if (!key || !script) throw new Error(`expected BullMQ to define the script ${name}`)
    const { lua, numberOfKeys } = script
    client.defineCommand(key, { lua: byRedisClock(position) + lua, numberOfKeys })
  }
}
