import type { IRedisClient } from 'bullmq'

/** The scripts of BullMQ that take one job each. */
const NAMES = /^moveToFinished:/
/** Jobs in one script: about a millisecond of Redis. */
const MOST = 32

interface Script {
  lua: string
  numberOfKeys: number
}

interface Call {
  args: unknown[]
  resolve: (reply: unknown) => void
  reject: (error: Error) => void
}

/**
 * BullMQ's own script, unchanged, run once for each call, in one script. A call that fails does not keep the others.
 *
 * KEYS: of each call, one after the other. ARGV: the number of calls, then the arguments of each.
 * Returns for each call {1, what its script returned} or {0, the error}.
 */
const manyOf = (script: string) => `
local function one(KEYS, ARGV)
${script}
end
local calls = tonumber(ARGV[1])
local keys, args = #KEYS / calls, (#ARGV - 1) / calls
local replies = {}
for n = 1, calls do
  local ok, reply = pcall(one, {unpack(KEYS, (n - 1) * keys + 1, n * keys)}, {unpack(ARGV, (n - 1) * args + 2, n * args + 1)})
  if ok then replies[n] = {1, reply}
  else replies[n] = {0, tostring(type(reply) == 'table' and reply.err or reply)} end
end
return replies
`

/**
 * The prototype of a batch path: what a worker tells Redis of its jobs within one turn of the event loop leaves as one
 * script. Nothing of BullMQ's is changed but the client that its backend has.
 */
export function batchScripts(client: IRedisClient): void {
  const scripts = (client as unknown as { scriptsSet: Record<string, Script> }).scriptsSet
  const byClient = client.runCommand.bind(client)
  const waiting = new Map<string, Call[]>()
  client.runCommand = (name, args) => {
    if (!NAMES.test(name)) return byClient(name, args)
    return new Promise((resolve, reject) => {
      const calls = waiting.get(name)
      if (calls) {
        calls.push({ args, resolve, reject })
        if (calls.length < MOST) return
        waiting.delete(name)
        void run(name, calls)
        return
      }
      const first: Call[] = [{ args, resolve, reject }]
      waiting.set(name, first)
      setImmediate(() => {
        if (waiting.get(name) !== first) return
        waiting.delete(name)
        void run(name, first)
      })
    })
  }

  async function run(name: string, calls: Call[]): Promise<void> {
    const { lua, numberOfKeys } = scripts[name] as Script
    const many = `${name}:many`
    if (!(many in scripts)) client.defineCommand(many, { lua: manyOf(lua), numberOfKeys: undefined as never })
    const keys = calls.flatMap(({ args }) => args.slice(0, numberOfKeys))
    const argv = calls.flatMap(({ args }) => args.slice(numberOfKeys))
    try {
      const replies = (await byClient(many, [keys.length, ...keys, calls.length, ...argv])) as [number, unknown][]
      for (const [index, { resolve, reject }] of calls.entries()) {
        const [ok, reply] = replies[index] as [number, unknown]
        if (ok === 1) resolve(reply)
        else reject(new Error(String(reply)))
      }
    } catch (error) {
      for (const { reject } of calls) reject(error as Error)
    }
  }
}
