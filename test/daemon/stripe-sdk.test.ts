import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'
import { closing } from '../helpers/closing.ts'
import { startProvider } from '../helpers/open-gateway.ts'
import { closingOf } from '../helpers/provider-server.ts'
import { StripeServer } from '../helpers/stripe-server.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Prints the verdict on pi_1 of a daemon that was installed with these packages, or the error with which the gateway is not opened. */
const SCRIPT = `
import { readConfig } from './dist/config.js'
import { openGateway } from './dist/gateways/gateways.js'
import { systemClock } from './dist/runtime/clock.js'
const [env, closing] = process.argv.slice(2).map((text) => JSON.parse(text))
try {
  const gateway = await openGateway('stripe', readConfig({ env, dotenv: {} }), { clock: systemClock, version: '0' })
  console.log(JSON.stringify(await gateway.close(closing)))
  await gateway.dispose()
} catch ({ code, message }) {
  console.log(JSON.stringify({ code, message }))
}
`

async function closeWith({ isWanted }: { isWanted: (name: string) => boolean }) {
  const dir = mkdtempSync(join(tmpdir(), 'order-expiry-sdk-'))
  closing.push(() => rmSync(dir, { recursive: true }))
  cpSync(join(ROOT, 'dist'), join(dir, 'dist'), { recursive: true })
  cpSync(join(ROOT, 'package.json'), join(dir, 'package.json'))
  mkdirSync(join(dir, 'node_modules'))
  for (const name of readdirSync(join(ROOT, 'node_modules')).filter(isWanted)) {
    symlinkSync(join(ROOT, 'node_modules', name), join(dir, 'node_modules', name))
  }
  const script = join(dir, 'close.mjs')
  writeFileSync(script, SCRIPT)
  const stripe = await startProvider(StripeServer)
  stripe.intents.set('pi_1', { status: 'requires_payment_method' })
  const table = { ORDER_STORE: 'postgres', DATABASE_URL: 'postgres://localhost/shop', ORDERS_PAYMENT_COLUMN: 'payment' }
  const args = [script, JSON.stringify({ ...table, ...stripe.env }), JSON.stringify(closingOf('pi_1'))]
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { env: {} })
  return { said: JSON.parse(stdout), stderr }
}

test('PAYMENT_GATEWAY=stripe without its SDK is refused, saying what to install', async () => {
  expect(await closeWith({ isWanted: (name) => name !== 'stripe' })).toMatchObject({
    said: { code: 'INVALID_SETTINGS', message: expect.stringContaining('npm install stripe@23') },
  })
})

test('with it, the built daemon closes payments, and ends when the gateway is disposed of', async () => {
  expect(await closeWith({ isWanted: () => true })).toEqual({
    said: { kind: 'closed', detail: 'is canceled' },
    stderr: '', // Stripe's notices are not printed
  })
})
