import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Browser, Page } from 'playwright-core'
import { OrderExpiryError } from '../../src/errors.ts'
import { overviewPage } from '../../src/http/pages/overview.ts'
import type { Overview } from '../../src/http/pages/read-overview.ts'
import { OrderExpiry } from '../../src/index.ts'
import { seriousFaultsOf } from '../helpers/axe.ts'
import { launchBrowser } from '../helpers/browser.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { redisUrl, uniqueName } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { fakeOverview, NOTHING_OF_REDIS } from '../helpers/fake-overview.ts'
import { fakeSite } from '../helpers/fake-site.ts'

const PHONE = 390
const LOOKS = [PHONE, 1280].flatMap((width) =>
  (['light', 'dark'] as const).map((colorScheme) => [width, colorScheme] as const),
)
const PASSWORD = 'a-long-password'

let daemon: DaemonProcess
let url: string
let browser: Browser
beforeAll(async () => {
  const QUEUE_NAME = uniqueName('axe')
  const shop = new OrderExpiry({ redis: redisUrl(), queueName: QUEUE_NAME, orders: 'redis' })
  ;[browser, daemon] = await Promise.all([
    launchBrowser(),
    DaemonProcess.start({
      REDIS_URL: redisUrl(),
      QUEUE_NAME,
      BOARD_USERS: `ann:${PASSWORD}:viewer`,
      BOARD_ENVIRONMENT: 'staging',
    }),
  ])
  url = await daemon.url()
  await shop.schedule({ orderId: 'unpaid-1', deadline: '50ms' })
  await shop.schedule({ orderId: 'later-1', deadline: '20m' })
  await eventually('it is decided', async () => (await shop.find('unpaid-1'))?.check?.finished)
  await shop.close()
})
afterAll(async () => {
  await browser?.close()
  await daemon?.stop()
})

async function open([width, colorScheme]: (typeof LOOKS)[number], password = PASSWORD): Promise<Page> {
  const context = await browser.newContext({
    baseURL: url,
    viewport: { width, height: 850 },
    colorScheme,
    bypassCSP: true, // axe is a script
    httpCredentials: { username: 'ann', password },
  })
  closing.push(() => context.close())
  context.setDefaultTimeout(15_000)
  return context.newPage()
}

async function expectFit(page: Page, what: string): Promise<void> {
  expect([what, await seriousFaultsOf(page)]).toEqual([what, []])
  const { clientWidth, scrollWidth } = (await page.evaluate(
    '({ clientWidth: innerWidth, scrollWidth: document.documentElement.scrollWidth })',
  )) as Record<string, number>
  expect([what, scrollWidth]).toEqual([what, clientWidth]) // nothing is beside the page
  expect(await page.locator('html[lang] main h1').count()).toBe(1)
}

const error = new OrderExpiryError('REDIS_UNAVAILABLE', 'away')
const outage = { since: fakeOverview().at - 60_000, error }
const STATES: [string, Partial<Overview>][] = [
  ['zero state', { counts: { jobs: {}, isPaused: false }, history: [{}], cancelled: [] }],
  ['outage', { ...NOTHING_OF_REDIS, away: { redis: outage, store: outage }, overdue: undefined }],
  [
    'all that can be marked',
    {
      brake: { engaged: true, reason: 'manual' },
      overdue: { orders: 3, oldestSeconds: 300 },
      counts: { jobs: { failed: 2 }, isPaused: true },
      dryRun: true,
      history: [{ cancelled: 1_234_567, missing: 2, 'late:16': 5 }],
      memory: { used: 9e6, max: 1e7, policy: 'allkeys-lru' },
      outbox: { events: 12, oldestAgeMs: 1e7 },
      setAside: { backlog: { orders: 3_000 }, unreadable: { orders: 2, examples: ['7'] } },
      clockOffsets: { redis: -600_000, store: 5_000 },
    },
  ],
]

describe.each(LOOKS)('%i px wide, %s', (width, colorScheme) => {
  test.each([
    '/',
    '/?paused',
    '/orders',
    '/orders/unpaid-1',
    '/orders/nobody',
    '/guide/runbook',
    '/nowhere',
    '/orders/%zz',
  ])('the page %s has nothing serious', async (path) => {
    const page = await open([width, colorScheme])
    await page.goto(path)
    await expectFit(page, path)
  })

  test('nor has the one that asks for a password', async () => {
    const page = await open([width, colorScheme], 'a-wrong-password')
    await page.goto('/')
    await page.getByRole('heading', { level: 1 }).waitFor()
    await expectFit(page, '401')
  })

  test.each(STATES)('nor has the overview: %s', async (what, given) => {
    const page = await open([width, colorScheme])
    const steps = { address: url, api: 'token' } as const
    const site = fakeSite({ environment: 'staging' })
    await page.setContent(
      overviewPage({ site, overview: fakeOverview(given), boardPath: '/board', isPaused: false, steps }),
    )
    await expectFit(page, what)
  })
})

test('on a phone the tiles stand in two columns', async () => {
  const page = await open([PHONE, 'light'])
  await page.goto('/')
  const boxes = await Promise.all((await page.locator('.tile').all()).map((tile) => tile.boundingBox()))
  expect(new Set(boxes.map((box) => box?.x)).size).toBe(2)
})

test('without a mouse one gets to everything, sees where one is, and stops the page from coming again', async () => {
  const page = await open([1280, 'light'])
  await page.goto('/')
  const seen: string[] = []
  for (let n = 0; n < 40 && !seen.includes('Pause'); n++) {
    await page.keyboard.press('Tab')
    const { text, outline } = (await page.evaluate(
      '({ text: document.activeElement.innerText, outline: getComputedStyle(document.activeElement).outlineStyle })',
    )) as Record<string, string>
    expect([text, outline]).toEqual([text, 'solid'])
    seen.push(text as string)
  }
  expect(seen).toEqual(expect.arrayContaining(['Find an order', 'Board', 'Pause']))
  const response = page.waitForResponse((answer) => answer.url() === `${url}/?paused`)
  await page.keyboard.press('Enter')
  expect(await (await response).headerValue('refresh')).toBeNull()
  await page.getByRole('link', { name: 'Resume' }).waitFor()
})
