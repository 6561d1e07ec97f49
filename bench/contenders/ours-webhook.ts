import { randomBytes } from 'node:crypto'
import { freePort } from '../../test/helpers/processes.ts'
import { startWorker, type WorkerProcess } from '../child.ts'
import type { Contender } from '../contender.ts'
import type { Servers } from '../servers.ts'
import { ours, startOurs } from './ours.ts'

/** order-expiry that tells a receiver on the same machine of each cancelled order. */
export const oursWebhook: Contender = {
  ...ours,
  name: 'ours-webhook',
  advice:
    'order-expiry with WEBHOOK_URL: it also tells a receiver, a process on the same two cores whose CPU does not count, of each cancelled order.',
  start: async (servers) => (await startOursWithReceiver(servers)).running,
}

export async function startOursWithReceiver(servers: Servers) {
  const port = await freePort()
  const receiver: WorkerProcess = await startWorker('receiver', { PORT: `${port}` })
  const settings = {
    WEBHOOK_URL: `http://127.0.0.1:${port}/`,
    WEBHOOK_SECRET: `whsec_${randomBytes(32).toString('base64')}`,
    WEBHOOK_ALLOW_PRIVATE: 'true',
  }
  const daemon = await startOurs(servers, { settings }).catch(async (error) => {
    await receiver.stop()
    throw error
  })
  const stop = async () => {
    await daemon.stop()
    await receiver.stop()
  }
  return { receiver, running: { ...daemon, stop } }
}
