import { Command } from 'ioredis'

/** A client of ioredis on which scripts are defined, directly or as BullMQ wraps it. */
export interface ScriptClient {
  /** ioredis' `Script`s, by name. */
  readonly scriptsSet: Readonly<Record<string, Script>>
  sendCommand(command: Command): unknown
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

/**
 * Calls a script four times as fast as the client's own method, which makes a buffer of each argument; a burst is little else.
 *
 * @param byClient the same call by the client's own method, for a script that Redis has forgotten
 */
export function callScript(
  client: ScriptClient,
  script: Script,
  args: readonly ScriptArgument[],
  byClient: () => Promise<unknown>,
): Promise<unknown> {
  const { sha, numberOfKeys } = script
  const call = new ScriptCall('evalsha', [sha, numberOfKeys, ...(args as string[])], { replyEncoding: 'utf8' })
  return (client.sendCommand(call) as Promise<unknown>).catch((error: Error) => {
    if (error.message.startsWith('NOSCRIPT')) return byClient()
    throw error
  })
}

/** A command that is put together as one string, a character for each byte, if all its texts are ASCII. */
class ScriptCall extends Command {
  override toWritable(socket: object): string | Buffer {
    const args = this.args as (string | Buffer)[]
    let bytes = `*${args.length + 1}\r\n$7\r\nevalsha\r\n`
    for (const arg of args) {
      if (typeof arg !== 'string') bytes += `$${arg.length}\r\n${arg.toString('latin1')}\r\n`
      else if (Buffer.byteLength(arg) === arg.length) bytes += `$${arg.length}\r\n${arg}\r\n`
      else return super.toWritable(socket)
    }
    return Buffer.from(bytes, 'latin1')
  }
}
