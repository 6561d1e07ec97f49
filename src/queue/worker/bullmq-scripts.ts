import type { IRedisClient } from 'bullmq'
import { type Script, type ScriptClient, scriptOf } from '../../redis/fast-scripts.ts'

/** BullMQ's script of this name as it has given it to the client; undefined: it has given none. */
export function bullMqScript(client: IRedisClient, name: string): Script | undefined {
  const scripts = client as IRedisClient & ScriptClient
  const versioned = Object.keys(scripts.scriptsSet).find((key) => key.split(':')[0] === name)
  return versioned === undefined ? undefined : scriptOf(scripts, versioned)
}
