import type { IRedisClient } from 'bullmq'
import { type Script, type ScriptClient, scriptOf } from '../../redis/fast-scripts.ts'
import type { NamedQueue } from '../../redis/keys.ts'
import { BatchClaims } from './batch-claims.ts'
import type { Claims } from './claims.ts'
import { unknownScripts } from './fingerprints.ts'
import { type BullMqScripts, WRAPPED, WrappedClaims } from './wrapped-claims.ts'

export interface OpenClaims {
  claims: Claims
  /** BullMQ's scripts that are not as `batch-claims.ts` knows them. */
  unknown: string[]
}

/**
 * The claims of a worker, on a client on which BullMQ has defined its scripts: in batches, unless these are wanted wrapped or
 * BullMQ's scripts are not the known ones.
 */
export function openClaims(options: {
  client: IRedisClient
  queue: NamedQueue
  workerId: string
  lockMs: number
  kind: 'auto' | 'wrapped'
}): OpenClaims {
  const { client, queue, workerId, lockMs, kind } = options
  const scripts = Object.fromEntries(WRAPPED.map((name) => [name, bullMqScript(client, name).lua])) as BullMqScripts
  const unknown = unknownScripts((name) => bullMqScript(client, name).sha)
  const given = { client, queue, lockMs, workerId, scripts }
  const isWrapped = kind === 'wrapped' || unknown.length > 0
  return { claims: isWrapped ? new WrappedClaims(given) : new BatchClaims(given), unknown }
}

/** @throws where BullMQ has none of this name any more */
function bullMqScript(client: IRedisClient, name: string): Script {
  const scripts = client as IRedisClient & ScriptClient
  const versioned = Object.keys(scripts.scriptsSet).find((key) => key.split(':')[0] === name)
  const script = versioned && scriptOf(scripts, versioned)
  if (!script) throw new Error(`expected BullMQ to define the script ${name}`)
  return script
}
