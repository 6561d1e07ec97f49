import { Command, type Redis } from 'ioredis'

/** A client of ioredis on which scripts are defined, directly or as BullMQ wraps it. */
export interface ScriptClient {
  /** ioredis' `Script`s, by name. */
  readonly scriptsSet: Readonly<Record<string, Script>>
}

/** A script that is defined on a client. */
export interface Script {
  lua: string
  sha: string
  numberOfKeys: number
}

/** An argument as BullMQ gives it; undefined is sent as an empty string. */
export type ScriptArgument = string | number | Buffer | undefined

/** The script that BullMQ, or somebody else, has defined by this name. */
export function scriptOf(client: ScriptClient, name: string): Script | undefined {
  return client.scriptsSet[name]
}

/** The script that BullMQ has defined by this name, in whatever version. */
export function bullMqScriptOf(client: ScriptClient, name: string): Script | undefined {
  const versioned = Object.keys(client.scriptsSet).find((key) => key.split(':')[0] === name)
  return versioned === undefined ? undefined : scriptOf(client, versioned)
}

/**
 * Runs a script that is defined on the client: at once, also where the client of a shop gathers its commands into pipelines. Errors
 * within the answer are noted as ioredis notes one that is the answer.
 *
 * @param args keys, then arguments
 */
export async function runScript(client: Redis, name: string, args: readonly ScriptArgument[]): Promise<unknown> {
  const { lua, sha, numberOfKeys } = scriptOf(client, name) as Script
  const send = (command: string, script: string) => {
    const all = [script, numberOfKeys, ...(args as string[])]
    return client.sendCommand(new Command(command, all, { replyEncoding: 'utf8' })) as Promise<unknown>
  }
  const answer = await send('evalsha', sha).catch((error: Error) => {
    if (error.message.startsWith('NOSCRIPT')) return send('eval', lua)
    throw error
  })
  for (const part of Array.isArray(answer) ? answer : []) {
    if (part instanceof Error) Object.assign(part, { command: { name: 'evalsha', args: [sha, numberOfKeys, ...args] } })
  }
  return answer
}
