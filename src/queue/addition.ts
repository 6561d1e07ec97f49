import type { ScriptArgument } from '../redis/scripts.ts'
import type { jobOf } from './contract.ts'

/** As the job contract has it. */
export type NewJob = ReturnType<typeof jobOf>

/**
 * A call of a script that is defined on the client. It adds jobs, and leaves alone those whose id is there already: of clients that
 * add the same job at the same moment, exactly one wins. It returns for each job what {@link IF_THERE} has found, the error where
 * Redis refuses this one, or anything else where it is new.
 */
export interface Addition {
  jobs: readonly NewJob[]
  script: string
  args: ScriptArgument[]
}

/**
 * In Lua: what is on a job that is there, and whether an error means that nothing can be written at all: ioredis looks for another
 * primary only where that is the answer as a whole.
 */
export const IF_THERE = `
local function if_there(key)
  return redis.call('EXISTS', key) == 1 and redis.pcall('HMGET', key, 'timestamp', 'opts', 'finishedOn', 'data', 'returnvalue')
end
local function is_of_replica(message)
  return string.find(message, 'READONLY', 1, true)
end
`
