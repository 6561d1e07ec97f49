import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from '@jest/globals'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess, runCli } from '../helpers/daemon.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'

test('a process whose clock is wrong says so in the log, a metric, doctor and the overview, and stays ready; then it is set right', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'order-expiry-clock-'))
  closing.push(async () => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'offset')
  writeFileSync(file, '-600000')
  const env = { REDIS_URL: redisUrl(), QUEUE_NAME: uniqueName('clocks') }
  const preload = pathToFileURL(resolve('test/faults/harness/skewed-clock.mjs'))
  const daemon = await DaemonProcess.start({ ...env, NODE_OPTIONS: `--import ${preload}`, FAULT_CLOCK_FILE: file })
  closing.push(async () => void (await daemon.stop()))
  const url = await daemon.url()
  const read = async (path: string) => (await fetch(url + path)).text()
  const logged = (message: RegExp) =>
    eventually(`${message} is logged`, () => daemon.logs.find(({ msg }) => message.test(msg)))
  const found = async () => {
    const { findings } = JSON.parse((await runCli(['doctor', '--json'], { env })).stdout) as {
      findings: { code: string; level: string; what: string }[]
    }
    return findings.find(({ code }) => code === 'queue-clocks')
  }

  await logged(/^the clock of Redis is (600\.0|599\.9) s ahead of ours/)
  await logged(/^the clock of the order store is (600\.0|599\.9) s ahead of ours/)
  expect(await read('/metrics')).toMatch(/^order_expiry_clock_offset_seconds\{of="redis"\} (600|599\.9)/m)
  expect(await read('/')).toMatch(/Clock of Redis.*(600\.0|599\.9) s ahead/s)
  expect(await read('/readyz')).toContain('"status":"ok"')
  expect(
    await eventually('doctor has it', async () => ((await found())?.level === 'error' ? found() : undefined)),
  ).toMatchObject({
    what: expect.stringMatching(/ the clock of Redis is (600\.0|599\.9) s ahead, /),
  })

  writeFileSync(file, '0')
  await logged(/^the clock of Redis agrees with ours again/)
  expect(await read('/metrics')).toMatch(/^order_expiry_clock_offset_seconds\{of="redis"\} 0$/m)
  await eventually('doctor has nothing to say', async () => ((await found())?.level === 'ok' ? true : undefined))
}, 60_000)
