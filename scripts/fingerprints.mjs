#!/usr/bin/env node
// Prints, of each script of BullMQ that our batches do the work of or rely on, its name, its SHA-1 and whether it is known: as BullMQ
// gives it to a client of Redis, which is not asked. That which adds jobs matters to producers, the others to the daemon.
//
//   npm run fingerprints                                    the BullMQ that is installed here
//   npm run fingerprints -- path/to/node_modules/bullmq     another one
//
// Exits with 1 if one is not known, and says what is to be done.
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { KNOWN_ADD_DELAYED_JOB } from '../dist/queue/batch-addition.js'
import { fingerprintsOf, KNOWN_SCRIPTS } from '../dist/queue/worker/fingerprints.js'

const [given] = process.argv.slice(2)
const folder = given ? resolve(given) : fileURLToPath(new URL('../node_modules/bullmq', import.meta.url))
const require = createRequire(join(folder, 'package.json'))
const { version } = require('./package.json')
const { Queue } = require(folder)

const client = new Redis({ lazyConnect: true })
client.disconnect() // for good: BullMQ then defines its scripts and asks for nothing
const queue = new Queue('fingerprints', {
  connection: client,
  skipWaitingForReady: true,
  skipVersionCheck: true,
  skipMetasUpdate: true,
})
const scripts = { ...KNOWN_SCRIPTS, addDelayedJob: KNOWN_ADD_DELAYED_JOB }
const fingerprints = fingerprintsOf(await queue.getBackend().client, scripts)

const lines = fingerprints.map(
  ({ name, sha1 = 'missing', isKnown }) => `${name.padEnd(22)} ${sha1.padEnd(40)} ${isKnown ? 'known' : 'unknown'}`,
)
process.stdout.write(`BullMQ ${version}, ${folder}\n${lines.join('\n')}\n`)
const unknown = fingerprints.filter(({ isKnown }) => !isKnown).map(({ name }) => name)
if (unknown.length > 0) {
  process.stdout.write(`
With this BullMQ, its own scripts do the work of these, which takes longer. For batches again: read what has changed in ${unknown.join(', ')},
add each SHA-1 to src/queue/worker/fingerprints.ts, that of addDelayedJob to src/queue/batch-addition.ts, and run the contract and
differential tests against it:

  npm install --save-exact bullmq@${version} && npx jest claims differential additions

Only if they pass, make this version KNOWN_BULLMQ, and keep them.
`)
  process.exitCode = 1
}
