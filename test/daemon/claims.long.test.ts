import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from '@jest/globals'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { openShop } from '../helpers/open-shop.ts'

const OTHER_BULLMQ = { NODE_OPTIONS: `--import ${pathToFileURL(resolve('test/helpers/other-bullmq.mjs')).href}` }

/** Has an order checked by a daemon with these settings, and tells what an operator sees of how. */
async function look(settings: Record<string, string>) {
  const { env, table, raw } = await openShop()
  const daemon = await DaemonProcess.start({ ...env, ...settings })
  closing.push(() => daemon.stop())
  await table.insert([{ id: '1', deadline: Date.now() - 1_000 }])
  await raw.queue.add('check-payment', { orderId: '1', deadline: Date.now() - 1_000 }, { jobId: 'job-1' })
  await eventually('it is cancelled by its check', async () => (await raw.queue.getJobState('job-1')) === 'completed')
  const metrics = await (await fetch(`${await daemon.url()}/metrics`)).text()
  const { findings } = JSON.parse((await runCli(['doctor', '--json'], { env: { ...env, ...settings } })).stdout)
  return {
    metric: /^order_expiry_claims_wrapped (\d)$/m.exec(metrics)?.[1],
    lines: daemon.logs.filter(({ msg }) => msg.includes('BullMQ')),
    findings: findings.filter(({ code }: { code: string }) => code === 'queue-scripts'),
  }
}

test('with the BullMQ that is known, checks go by scripts of our own', async () => {
  expect(await look({})).toMatchObject({ metric: '0', lines: [], findings: [{ level: 'ok' }] })
})

test('with another one they go by its own, which the log, a metric and doctor tell', async () => {
  const { metric, lines, findings } = await look(OTHER_BULLMQ)
  expect(metric).toBe('1')
  expect(lines).toMatchObject([{ level: 'warn', scripts: ['moveToFinished'] }])
  expect(lines[0]?.msg).toMatch(/1\.5 times as long; nothing else changes; install bullmq \d/)
  const fix = expect.stringMatching(/^npm install bullmq@\d+\.\d+\.\d+\n.*npm run fingerprints/)
  expect(findings).toMatchObject([
    { level: 'warning', what: 'of the installed BullMQ, moveToFinished is not known', fix },
  ])
})

test('whoever wants them so is not warned', async () => {
  expect(await look({ CLAIMS: 'wrapped' })).toMatchObject({ metric: '1', lines: [], findings: [{ level: 'ok' }] })
})

test('daemons with either kind share a queue, and settle each order once', async () => {
  const { env, table, raw } = await openShop()
  const ids = Array.from({ length: 1_000 }, (_, n) => `${n}`)
  const daemons = ['auto', 'wrapped'].map((CLAIMS) => new DaemonProcess({ ...env, CLAIMS, LOG_LEVEL: 'debug' }))
  for (const daemon of daemons) {
    closing.push(() => daemon.stop())
    await daemon.until(({ msg }) => msg === 'sweep finished') // the next one comes in a minute
  }
  await table.insert(ids.map((id) => ({ id, deadline: Date.now() - 1_000 })))
  await raw.queue.addBulk(
    ids.map((id) => ({ name: 'check-payment', data: { orderId: id, deadline: Date.now() - 1_000 } })),
  )
  await eventually('all are checked', async () => (await raw.queue.getCompletedCount()) === ids.length)
  expect(await raw.queue.getActiveCount()).toBe(0)
  const checked = daemons.map(({ logs }) => logs.filter(({ msg, jobId }) => /^order \w+$/.test(msg) && jobId))
  expect(
    checked
      .flat()
      .map(({ orderId }) => orderId)
      .sort(),
  ).toEqual(ids.sort())
  for (const own of checked) expect(own.length).toBeGreaterThan(0)
})
