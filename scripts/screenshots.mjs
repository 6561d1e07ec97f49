#!/usr/bin/env node
// Takes the pictures of docs/pages.md: starts the built daemon with a Redis of its own, has a shop place and pay orders, waits
// until their deadlines have filled the plots, and looks at the pages with Chromium.
//
//   npm run screenshots             takes 5 minutes, which is how much history the plots then show
//   npm run screenshots -- 30       so many minutes
import { execFileSync, spawn } from 'node:child_process'
import { on, once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Queue } from 'bullmq'
import { chromium } from 'playwright-core'
import { OrderExpiry } from '../dist/index.js'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const MINUTE_MS = 60_000
const TO_COME_MINUTES = 60
const WIDTH = 1280
const ORDERS_AT_ONCE = 100
const OUTAGE_MS = 20_000

const minutes = Number(process.argv[2] ?? 5)
if (!(minutes > 0)) throw new Error(`expected a number of minutes, given ${process.argv[2]}`)

const PASSWORD = 'secret-of-ops'
const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => stopping.abort(new Error(signal)))

const dir = mkdtempSync(join(tmpdir(), 'order-expiry-screenshots-'))
const daemon = spawn(process.execPath, [join(ROOT, 'dist/cli.js'), 'start'], {
  cwd: dir,
  env: {
    PATH: process.env.PATH,
    HTTP_PORT: '0',
    BOARD_USERS: `ops:${PASSWORD}:operator`,
    BOARD_ENVIRONMENT: 'staging',
  },
  stdio: ['ignore', 'pipe', 'inherit'],
  detached: true, // Ctrl-C is for us: it is stopped in order
})
const ended = once(daemon, 'exit')
try {
  const url = await readyAt(daemon)
  await fillShop(join(dir, '.data/redis.sock'))
  console.log(`the shop is open at ${url}; pictures in ${minutes} min`)
  await setTimeout(minutes * MINUTE_MS, undefined, { signal: stopping.signal })
  await takePictures(url)
} finally {
  daemon.kill('SIGTERM')
  await ended
  rmSync(dir, { recursive: true, force: true })
}

/** @returns where it listens, once it is ready */
async function readyAt({ stdout }) {
  const lines = createInterface({ input: stdout })
  let url
  // Not of `lines` itself: that would stop reading afterwards, and the daemon could not go on with its log.
  for await (const [line] of on(lines, 'line', { close: ['close'] })) {
    const { msg, service, detail } = JSON.parse(line)
    if (msg === 'http started' && service === 'http') url = detail
    if (msg === 'ready') return url
  }
  throw new Error('the daemon has ended')
}

/** The process of the private Redis. */
function redisOf({ pid }) {
  return Number(execFileSync('pgrep', ['-P', `${pid}`, 'redis-server'], { encoding: 'utf8' }))
}

/** Orders with deadlines in every minute until an hour after the pictures, more in some than in others; about half are paid. */
async function fillShop(socket) {
  const redis = `unix://${socket}`
  const shop = new OrderExpiry({ redis, orders: 'redis' })
  const queue = new Queue('check-payment', { connection: { path: socket } })
  const deadlines = Array.from({ length: minutes + TO_COME_MINUTES }, (_, minute) => deadlinesIn(minute)).flat()
  const orders = deadlines.map((deadline, index) => ({ orderId: `A-${1001 + index}`, deadline }))
  try {
    for (let n = 0; n < orders.length; n += ORDERS_AT_ONCE) {
      const results = await shop.scheduleMany(orders.slice(n, n + ORDERS_AT_ONCE))
      const failed = results.find(({ error }) => error)
      if (failed) throw new Error('the shop cannot schedule its orders', { cause: failed.error })
    }
    const [first] = orders
    await shop.reschedule({ orderId: first.orderId, deadline: Date.now() + 20_000 })
    await Promise.all(orders.filter((_, index) => (index % 11) % 2 === 1).map(({ orderId }) => shop.pay(orderId)))
    // What a shop gets wrong: an order that it never recorded, and a job that nobody understands.
    const deadline = Date.now() + MINUTE_MS / 2
    await queue.add('check-payment', { orderId: 'B-17', deadline }, { jobId: 'order-B-17', delay: MINUTE_MS / 2 })
    await queue.add('check-payment', { orderId: '', deadline }, { jobId: 'till-4711' })
  } finally {
    await queue.close()
    await shop.close()
  }
}

function deadlinesIn(minute) {
  const count = Math.round(16 + 9 * Math.sin(minute / 7) + ((minute * 7) % 5))
  const from = Date.now() + minute * MINUTE_MS
  return Array.from({ length: count }, (_, index) => Math.round(from + ((index + 0.5) / count) * MINUTE_MS))
}

async function takePictures(url) {
  const where = execFileSync(process.execPath, [join(ROOT, 'scripts/ensure-servers.mjs'), '--where', 'chromium'])
  const browser = await chromium.launch({
    executablePath: String(where).trim(),
    chromiumSandbox: process.getuid?.() !== 0, // Chromium refuses to run as root with it
    args: ['--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-sync'],
  })
  try {
    const page = await browser.newPage({
      httpCredentials: { username: 'ops', password: PASSWORD },
      locale: 'en-GB',
      timezoneId: 'UTC',
    })
    const take = async (name, { path, shows, height, width = WIDTH, colorScheme = 'light', fullPage = false }) => {
      await page.setViewportSize({ width, height })
      await page.emulateMedia({ colorScheme })
      await page.goto(`${url}${path}`, { waitUntil: 'networkidle' })
      await page.getByText(shows).first().waitFor()
      await page.screenshot({ path: join(ROOT, 'docs', name), animations: 'disabled', fullPage })
      console.log(`docs/${name}`)
    }
    const queue = '/board/queue/check-payment'
    const overview = { path: '/', shows: 'Decisions', height: 1240 }
    await take('overview.png', overview)
    await take('overview-dark.png', { ...overview, colorScheme: 'dark' })
    await take('overview-phone.png', { ...overview, width: 390, height: 1340 })
    await take('board.png', { path: `${queue}?status=completed`, shows: 'decidedBy', height: 900 })
    await take('board-job.png', { path: `${queue}/order-A-1001`, shows: 'decidedBy', height: 640 })
    await take('explanation.png', { path: '/orders/A-1001', shows: 'Cancelled', height: 480, fullPage: true })
    const redis = redisOf(daemon)
    process.kill(redis, 'SIGSTOP')
    try {
      await setTimeout(OUTAGE_MS, undefined, { signal: stopping.signal })
      await take('overview-outage.png', { path: '/', shows: 'Redis is away', height: 560 })
    } finally {
      process.kill(redis, 'SIGCONT')
    }
  } finally {
    await browser.close()
  }
}
