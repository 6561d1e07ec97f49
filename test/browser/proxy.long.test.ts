import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Browser } from 'playwright-core'
import { OrderExpiry } from '../../src/index.ts'
import { complaintsOf, launchBrowser, OTHER_NAME } from '../helpers/browser.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { end, freePort, type Server, untilConnected } from '../helpers/processes.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const TOKEN = 'a-token-of-the-shop-1'
const PASSWORD = 'of-nginx-and-not-of-ours'

let raw: RawQueue
let daemon: DaemonProcess
let nginx: Server
let shop: OrderExpiry
let browser: Browser
beforeAll(async () => {
  raw = new RawQueue()
  const [port, daemonPort] = [await freePort(), await freePort()]
  daemon = await DaemonProcess.start({
    REDIS_URL: redisUrl(),
    QUEUE_NAME: raw.name,
    HTTP_PORT: `${daemonPort}`,
    API_TOKENS: `shop:${TOKEN}`,
    PUBLIC_URL: `http://${OTHER_NAME}:${port}/order-expiry`,
    TRUSTED_PROXY: 'loopback',
    TRUSTED_PROXY_USER_HEADER: 'X-Forwarded-User',
    TRUSTED_PROXY_OPERATORS: 'ann',
  })
  nginx = await startNginx(port, daemonPort)
  shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name, orders: 'redis' })
  await shop.schedule({ orderId: 'A/1', deadline: '1h' })
  browser = await launchBrowser()
})
afterAll(async () => {
  await browser?.close()
  await shop?.close()
  await nginx?.stop()
  await daemon?.stop()
  await raw.close()
})

/** nginx with the very configuration of docs/proxy.md, for the users ann and zoe. */
async function startNginx(port: number, daemonPort: number): Promise<Server> {
  const dir = mkdtempSync(join(tmpdir(), 'order-expiry-nginx-'))
  const [, documented = ''] = /```nginx\n(.*?)```/s.exec(readFileSync('docs/proxy.md', 'utf8')) ?? []
  const locations = documented
    .replaceAll('127.0.0.1:3000', `127.0.0.1:${daemonPort}`)
    .replaceAll('/etc/nginx/order-expiry.users', join(dir, 'users'))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  const config = `daemon off; pid ${dir}/pid; error_log ${dir}/error.log; worker_processes 1;
${process.getuid?.() === 0 ? 'user root;' : ''}
events {}
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${dir}/${name};`).join(' ')}
  server { listen 127.0.0.1:${port}; absolute_redirect off; ${locations} }
}`
  writeFileSync(join(dir, 'nginx.conf'), config)
  writeFileSync(join(dir, 'users'), ['ann', 'zoe'].map((name) => `${name}:{PLAIN}${PASSWORD}\n`).join(''))
  const path = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`
  const binary = execFileSync('sh', ['-c', 'command -v nginx'], { env: { PATH: path }, encoding: 'utf8' }).trim()
  const child = spawn(binary, ['-c', join(dir, 'nginx.conf'), '-e', join(dir, 'error.log')], { stdio: 'inherit' })
  await untilConnected(port, child)
  return {
    url: `http://${OTHER_NAME}:${port}`,
    port,
    pid: child.pid as number,
    async stop() {
      await end(child, 'SIGTERM')
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

async function openAs(username: string) {
  const context = await browser.newContext({ httpCredentials: { username, password: PASSWORD } })
  const complaints = complaintsOf(context, nginx.url)
  const page = await context.newPage()
  return { page, complaints }
}

test('behind nginx as docs/proxy.md has it, an operator finds an order and pauses the queue on the board', async () => {
  const { page, complaints } = await openAs('ann')
  await page.goto(`${nginx.url}/order-expiry`)
  await page.getByRole('link', { name: 'Find an order' }).click()
  await page.getByRole('textbox', { name: 'Order id' }).fill('A/1')
  await page.keyboard.press('Enter')
  await page.getByText('it will be cancelled').waitFor()
  expect(page.url()).toBe(`${nginx.url}/order-expiry/orders/A%2F1`)
  await page.getByRole('link', { name: 'Check on the board' }).click()
  await page.getByText('order-A/1').first().waitFor()
  await page.goto(`${nginx.url}/order-expiry/board/queue/${raw.name}`)
  const status = await page.evaluate(
    `fetch('api/queues/${raw.name}/pause', { method: 'PUT' }).then(({ status }) => status)`,
  )
  expect(status).toBe(200)
  expect(await daemon.until(({ action }) => action === 'pause')).toMatchObject({ by: 'ann' })
  await raw.queue.resume()
  await page.goto(`${nginx.url}/order-expiry/docs`)
  await page.getByText('/v1/orders/{id}').first().waitFor()
  // Said of any name without TLS.
  expect(complaints.filter((text) => !text.includes('Cross-Origin-Opener-Policy'))).toEqual([])
})

test('whoever else signs in there only looks, whatever the browser says', async () => {
  const { page } = await openAs('zoe')
  await page.goto(`${nginx.url}/order-expiry/board`)
  const status = await page.evaluate(
    `fetch('api/queues/${raw.name}/pause', { method: 'PUT', headers: { 'x-forwarded-user': 'ann' } }).then(({ status }) => status)`,
  )
  expect(status).toBe(403)
  expect(await raw.queue.isPaused()).toBe(false)
})

test('the API takes tokens there, and order ids with slashes', async () => {
  const ask = (path: string, headers: Record<string, string>) =>
    fetch(`http://127.0.0.1:${nginx.port}/order-expiry/v1${path}`, { headers })
  const found = await ask('/orders/A%2F1', { authorization: `Bearer ${TOKEN}` })
  expect([found.status, await found.json()]).toMatchObject([200, { orderId: 'A/1' }])
  expect((await ask('/orders/A%2F1', { 'x-forwarded-user': 'ann' })).status).toBe(401)
})
