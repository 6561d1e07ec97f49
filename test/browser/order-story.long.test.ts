import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { OrderExpiry } from '../../src/index.ts'
import { seriousFaultsOf } from '../helpers/axe.ts'
import { complaintsOf, launchBrowser } from '../helpers/browser.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

let raw: RawQueue
let daemon: DaemonProcess
let url: string
let browser: Browser
beforeAll(async () => {
  raw = new RawQueue()
  const shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name, orders: 'redis' })
  ;[browser, daemon] = await Promise.all([
    launchBrowser(),
    DaemonProcess.start({ REDIS_URL: redisUrl(), QUEUE_NAME: raw.name }),
  ])
  url = await daemon.url()
  await shop.schedule({ orderId: 'waiting', deadline: '1h' })
  await shop.schedule({ orderId: 'paid', deadline: '300ms' })
  await shop.pay('paid')
  await shop.schedule({ orderId: 'cancelled', deadline: '50ms' })
  await eventually('both are decided', async () => {
    const found = await Promise.all(['paid', 'cancelled'].map((orderId) => shop.find(orderId)))
    return found.every((order) => order?.check?.finished)
  })
  await shop.close()
})
afterAll(async () => {
  await browser?.close()
  await daemon?.stop()
  await raw.close()
})

async function open(
  orderId: string,
  options: BrowserContextOptions = {},
): Promise<{ page: Page; complaints: string[] }> {
  const context = await browser.newContext({ baseURL: url, ...options })
  closing.push(() => context.close())
  const complaints = complaintsOf(context, url)
  const page = await context.newPage()
  await page.goto(`/orders/${orderId}`)
  return { page, complaints }
}

const localTimes = (page: Page) => page.locator('.local').filter({ visible: true })

describe("an order's story", () => {
  test('has local times beside UTC, and how long ago that was', async () => {
    const { page, complaints } = await open('cancelled', { timezoneId: 'Asia/Kolkata', locale: 'en-GB' })
    const [event] = await page.locator('.story li').all()
    expect(await event?.innerText()).toMatch(
      /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC\n(now|\d+ \w+ ago) \d+ \w+ \d{4}, \d\d:\d\d:\d\d (GMT\+5:30|IST)\n/,
    )
    expect(await localTimes(page).count()).toBe(await page.locator('time').count())
    expect(complaints).toEqual([])
  })

  test.each([
    ['without a script', { javaScriptEnabled: false, timezoneId: 'Asia/Kolkata' }],
    ['where UTC is the local time', { timezoneId: 'UTC' }],
  ])('is whole in UTC %s', async (_, options) => {
    const { page } = await open('cancelled', options)
    expect(await page.locator('.story li').count()).toBeGreaterThan(3)
    expect(await localTimes(page).count()).toBe(0)
    expect(await page.locator('.verdict').innerText()).toMatch(/Cancelled\n.*because it was still unpaid/s)
  })

  test.each([
    ['cancelled', 'Cancelled', 'CANCELLED_BY_CHECK'],
    ['paid', 'Not cancelled', 'KEPT'],
    ['waiting', 'Waiting', 'WAITING'],
    ['nobody', 'Unknown', 'UNKNOWN'],
  ])('of an order that is %s says so in words, in four looks, and axe finds nothing', async (orderId, label, code) => {
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const width of [390, 1_280]) {
        const { page } = await open(orderId, { colorScheme, viewport: { width, height: 800 }, bypassCSP: true })
        expect(await page.getByRole('heading', { level: 2 }).first().innerText()).toContain(label)
        expect(await page.locator('.verdict code').innerText()).toBe(code)
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
        expect([colorScheme, width, await seriousFaultsOf(page)]).toEqual([colorScheme, width, []])
      }
    }
  })
})
