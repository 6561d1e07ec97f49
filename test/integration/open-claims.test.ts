import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import type { RedisQueueBackend } from 'bullmq'
import { BatchClaims } from '../../src/queue/worker/batch-claims.ts'
import { fingerprintsOf, KNOWN_BULLMQ, KNOWN_SCRIPTS } from '../../src/queue/worker/fingerprints.ts'
import { openClaims } from '../../src/queue/worker/open-claims.ts'
import { WrappedClaims } from '../../src/queue/worker/wrapped-claims.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { bullMqScriptOf, type ScriptClient } from '../../src/redis/scripts.ts'
import { closing } from '../helpers/closing.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const VERSION = JSON.parse(readFileSync('node_modules/bullmq/package.json', 'utf8')).version

/** A client with BullMQ's scripts, and what opens claims on it. */
async function openClient() {
  const raw = new RawQueue()
  closing.push(() => raw.close())
  const client = await (raw.queue.getBackend() as RedisQueueBackend).client
  const open = (kind: 'auto' | 'wrapped' = 'auto') =>
    openClaims({ client, queue: namedQueue({ name: raw.name }), workerId: 'w', lockMs: 1_000, kind })
  const change = (name: string, changes: { lua?: string; numberOfKeys?: number }) => {
    const { lua, numberOfKeys } = bullMqScriptOf(client as typeof client & ScriptClient, name) ?? {
      lua: '',
      numberOfKeys: 0,
    }
    client.defineCommand(`${name}:${VERSION}`, { lua, numberOfKeys, ...changes })
  }
  return { client, open, change }
}

test('the installed BullMQ is the known one', async () => {
  const { client, open } = await openClient()
  expect(fingerprintsOf(client).filter(({ isKnown }) => !isKnown)).toEqual([])
  expect(open()).toMatchObject({ claims: expect.any(BatchClaims), isWrapped: false, unknown: [] })
  expect(open('wrapped')).toMatchObject({ claims: expect.any(WrappedClaims), isWrapped: true, unknown: [] })
  expect(VERSION).toBe(KNOWN_BULLMQ)
})

test.each(Object.keys(KNOWN_SCRIPTS))('where %s is another script, claims are wrapped', async (name) => {
  const { open, change } = await openClient()
  change(name, { lua: 'return 1' })
  expect(open()).toMatchObject({ claims: expect.any(WrappedClaims), isWrapped: true, unknown: [name] })
})

test('a script with another number of keys is refused: it would do its work on the wrong ones', async () => {
  const { open, change } = await openClient()
  change('moveToFinished', { numberOfKeys: 15 })
  const message = expect.stringContaining('moveToFinished of 14 keys, given one of 15: install bullmq')
  for (const kind of ['auto', 'wrapped'] as const) {
    expect(() => open(kind)).toThrow(expect.objectContaining({ code: 'UNEXPECTED', message }))
  }
})
