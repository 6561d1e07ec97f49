import type { IRedisClient } from 'bullmq'
import type { ScriptClient } from '../../src/redis/scripts.ts'

export type Edit = (lua: string, script: string) => string

/** The client, but that what is defined on it is edited first. */
export function editedClient(client: IRedisClient, edit: Edit): IRedisClient {
  const { scriptsSet } = client as IRedisClient & ScriptClient
  const edited: Partial<IRedisClient & ScriptClient> = {
    scriptsSet,
    defineCommand: (name, script) => client.defineCommand(name, { ...script, lua: edit(script.lua, name) }),
    runCommand: (name, args) => client.runCommand(name, args),
  }
  return edited as IRedisClient
}

/** The scripts ask a key for the time, in epoch milliseconds, which a test sets. */
export function timeFrom(key: string): Edit {
  const time = `(function()
  local ms = redis.call('GET', '${key}')
  return {string.sub(ms, 1, -4), string.sub(ms, -3) * 1000}
end)()`
  return (lua) => {
    const edited = lua.replaceAll("redis.call('TIME')", time)
    if (edited === lua) throw new Error('expected the script to ask Redis for the time')
    return edited
  }
}
