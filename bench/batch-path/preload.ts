import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import type * as BullMQ from 'bullmq'
import { batchScripts } from './batch-scripts.ts'

/** To be loaded before our daemon: gives the workers of its BullMQ the batch path. */
const ITS_OWN = pathToFileURL(createRequire(new URL('../../../../dist/cli.js', import.meta.url)).resolve('bullmq')).href
const { RedisConnection }: typeof BullMQ = await import(ITS_OWN)

interface Loading {
  _client: Parameters<typeof batchScripts>[0]
  loadCommands(...args: unknown[]): void
}

const prototype = RedisConnection.prototype as unknown as Loading
const { loadCommands } = prototype
prototype.loadCommands = function (this: Loading, ...args) {
  Reflect.apply(loadCommands, this, args)
  batchScripts(this._client)
}
