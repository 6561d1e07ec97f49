import type { IRedisClient } from 'bullmq'
import { OrderExpiryError } from '../../errors.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { bullMqScriptOf, type ScriptClient } from '../../redis/scripts.ts'
import { BatchClaims } from './batch-claims.ts'
import type { Claims } from './claims.ts'
import { KNOWN_BULLMQ, unknownScripts } from './fingerprints.ts'
import { type BullMqScripts, WRAPPED, WrappedClaims } from './wrapped-claims.ts'

/**
 * The claims of a worker, on a client on which BullMQ has defined its scripts: in batches, unless these are wanted wrapped or
 * BullMQ's scripts are not the known ones.
 *
 * @returns `unknown`: those of BullMQ's scripts that are not as `batch-claims.ts` knows them
 * @throws {OrderExpiryError} UNEXPECTED: scripts that cannot even be wrapped
 */
export function openClaims(options: {
  client: IRedisClient
  queue: NamedQueue
  workerId: string
  lockMs: number
  kind: 'auto' | 'wrapped'
}): { claims: Claims; isWrapped: boolean; unknown: string[] } {
  const { client, queue, workerId, lockMs, kind } = options
  const given = { client, queue, lockMs, workerId, scripts: bullMqScripts(client) }
  const unknown = unknownScripts(client)
  const isWrapped = kind === 'wrapped' || unknown.length > 0
  return { claims: isWrapped ? new WrappedClaims(given) : new BatchClaims(given), isWrapped, unknown }
}

/** Those that are wrapped. With another number of keys they would do their work on the wrong ones. */
function bullMqScripts(client: IRedisClient): BullMqScripts {
  const entries = Object.entries(WRAPPED).map(([name, numberOfKeys]) => {
    const script = bullMqScriptOf(client as IRedisClient & ScriptClient, name)
    if (script?.numberOfKeys === numberOfKeys) return [name, script.lua]
    const given = script ? `one of ${script.numberOfKeys}` : 'none'
    const what = `expected BullMQ to have a script ${name} of ${numberOfKeys} keys, given ${given}`
    throw new OrderExpiryError('UNEXPECTED', `${what}: install bullmq ${KNOWN_BULLMQ}`)
  })
  return Object.fromEntries(entries)
}
