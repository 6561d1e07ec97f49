import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from '@jest/globals'
import { redisUrl, uniqueName } from '../helpers/env.ts'

/** What an application gets that installs the package. */
test('importing the library loads no database, HTTP, log or command-line package, and ends by itself after close', () => {
  const dir = mkdtempSync(join(tmpdir(), 'order-expiry-import-'))
  try {
    const program = join(dir, 'shop.mjs')
    writeFileSync(
      program,
      `import { createRequire } from 'node:module'
       import { OrderExpiry, OrderExpiryError } from ${JSON.stringify(resolve('dist/index.js'))}
       const shop = new OrderExpiry({ redis: ${JSON.stringify(redisUrl())}, queueName: ${JSON.stringify(uniqueName('package'))} })
       const result = await shop.schedule({ orderId: 'a', deadline: '15m' })
       const refused = await shop.schedule({ orderId: '' }).catch((error) => error instanceof OrderExpiryError && error.code)
       await shop.withdraw('a')
       await shop.close()
       const loaded = Object.keys(createRequire(import.meta.url).cache).map((file) => /node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(file)?.[1])
       console.log(JSON.stringify({ result: result.result, refused, loaded: [...new Set(loaded)] }))`,
    )
    const output = JSON.parse(execFileSync(process.execPath, [program], { encoding: 'utf8', timeout: 20_000 }))
    expect(output).toMatchObject({ result: 'scheduled', refused: 'INVALID_ORDER_ID' })
    for (const absent of ['pg', 'fastify', 'pino', 'commander', 'dotenv', '@bull-board/api', '@fastify/basic-auth']) {
      expect(output.loaded).not.toContain(absent)
    }
    expect(output.loaded).toEqual(expect.arrayContaining(['bullmq', 'ioredis']))
  } finally {
    rmSync(dir, { recursive: true })
  }
})
