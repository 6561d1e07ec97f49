import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core'
import { overviewPage } from '../../src/http/pages/overview.ts'
import { OrderExpiry } from '../../src/index.ts'
import { complaintsOf, launchBrowser, OTHER_NAME } from '../helpers/browser.ts'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { fakeOverview } from '../helpers/fake-overview.ts'
import { fakeSite } from '../helpers/fake-site.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const VIEWER = { username: 'ann', password: 'look-but-change-nothing' }
const OPERATOR = { username: 'bob', password: 'act-as-an-operator' }
/** The overview comes again every 10 s. */
const NEXT_MS = 20_000

let raw: RawQueue
let daemon: DaemonProcess
let url: string
let shop: OrderExpiry
let browser: Browser
beforeAll(async () => {
  raw = new RawQueue()
  shop = new OrderExpiry({ redis: redisUrl(), queueName: raw.name, orders: 'redis' })
  ;[browser, daemon] = await Promise.all([
    launchBrowser(),
    DaemonProcess.start({
      REDIS_URL: redisUrl(),
      QUEUE_NAME: raw.name,
      BOARD_USERS: `ann:${VIEWER.password}:viewer,bob:${OPERATOR.password}:operator`,
      BOARD_ENVIRONMENT: 'staging',
      // The sweep would settle what waits here for an operator.
      SWEEP_EVERY: '1h',
      SWEEP_AHEAD: '2h',
    }),
  ])
  url = await daemon.url()
  const minutes = (count: number) => Date.now() + count * 60_000
  await shop.scheduleMany([5, 25, 45].map((count) => ({ orderId: `later-${count}`, deadline: minutes(count) })))
  await shop.schedule({ orderId: 'paid-1', deadline: '300ms' })
  await shop.pay('paid-1')
  await shop.schedule({ orderId: 'unpaid-1', deadline: '50ms' })
  await eventually('both are decided', async () => {
    const found = await Promise.all(['paid-1', 'unpaid-1'].map((orderId) => shop.find(orderId)))
    return found.every((order) => order?.check?.finished)
  })
})
afterAll(async () => {
  await browser?.close()
  await shop.close()
  await daemon?.stop()
  await raw.close()
})

/** A page of a browser that nobody has used, and what it complains about. */
async function open(
  httpCredentials: { username: string; password: string } | undefined,
  options: BrowserContextOptions & { at?: string } = {},
): Promise<{ page: Page; complaints: string[] }> {
  const { at = url, ...rest } = options
  const context = await browser.newContext({ baseURL: at, ...(httpCredentials && { httpCredentials }), ...rest })
  closing.push(() => context.close())
  context.setDefaultTimeout(15_000)
  const complaints = complaintsOf(context, at)
  return { page: await context.newPage(), complaints }
}

describe('whoever has no user', () => {
  test.each([
    ['no', undefined],
    ['a wrong', { ...OPERATOR, password: VIEWER.password }],
  ])('is asked for a password, and sees nothing with %s one', async (_, credentials) => {
    const { page } = await open(credentials)
    for (const path of ['/', '/board', '/orders/unpaid-1']) {
      const answered = page.waitForResponse((response) => response.url() === `${url}${path}`)
      await page.goto(path).catch(() => {}) // without a password the browser has no page to show
      const { status, wanted } = await answered.then(async (response) => ({
        status: response.status(),
        wanted: await response.headerValue('www-authenticate'),
      }))
      expect([path, status, wanted]).toEqual([path, 401, expect.stringContaining('Basic')])
      expect(await page.locator('svg, .tile, table, #root').count()).toBe(0)
    }
  })
})

describe('the overview', () => {
  const tile = (page: Page, name: string) => page.locator('.tile', { hasText: name }).locator('b').innerText()

  test('fills its plots, and comes again by itself, with and without JavaScript', async () => {
    const pages = await Promise.all(
      [true, false].map(async (javaScriptEnabled) => (await open(VIEWER, { javaScriptEnabled })).page),
    )
    await Promise.all(pages.map((page) => page.goto('/')))
    for (const page of pages) expect(await tile(page, 'Waiting')).toBe('3')
    const again = pages.map((page) => page.waitForEvent('load', { timeout: NEXT_MS }))
    await shop.schedule({ orderId: 'later-10', deadline: '10m' })
    await Promise.all(again)
    for (const page of pages) {
      expect(await tile(page, 'Waiting')).toBe('4')
      expect(await marksOf(page)).toEqual({
        'Deadlines to come in the next hour: a': 4,
        'Decisions in the last hour, by outcome: a': 1,
        'Decisions in the last hour, by outcome: b': 1,
        'Lateness in the last hour: a': expect.any(Number),
        'Lateness in the last hour: c': expect.any(Number),
      })
    }
  })

  test('has room for every number, however late it was', async () => {
    const { page } = await open(undefined)
    const overview = fakeOverview({ history: [{ 'late:16': 5, cancelled: 1_234_567 }] })
    const steps = { address: url, api: 'open' } as const
    await page.setContent(overviewPage({ site: fakeSite(), overview, boardPath: '/board', isPaused: false, steps }))
    expect(await page.getByText('17 min').count()).toBe(1)
    for (const plot of await page.getByRole('img').all()) {
      const { x: left } = (await plot.boundingBox()) as Box
      for (const text of await plot.locator('text').all()) {
        expect(((await text.boundingBox()) as Box).x).toBeGreaterThanOrEqual(left)
      }
    }
  })

  test('is dark where the system is', async () => {
    const shades = await Promise.all(
      (['light', 'dark'] as const).map(async (colorScheme) => {
        const { page } = await open(VIEWER, { colorScheme })
        await page.goto('/')
        return page.evaluate('getComputedStyle(document.body).backgroundColor')
      }),
    )
    expect(shades).toEqual(['rgb(255, 255, 255)', 'rgb(18, 22, 28)'])
  })
})

type Box = NonNullable<Awaited<ReturnType<Locator['boundingBox']>>>

/** How many bars and dots of each look can be seen, by plot. */
async function marksOf(page: Page): Promise<Record<string, number>> {
  const marks: Record<string, number> = {}
  for (const plot of await page.getByRole('img').all()) {
    const title = await plot.getAttribute('aria-label')
    for (const mark of await plot.locator('rect, circle').all()) {
      const box = await mark.boundingBox()
      if (!box || box.width < 1 || box.height < 1) continue
      const name = `${title}: ${await mark.getAttribute('class')}`
      marks[name] = (marks[name] ?? 0) + 1
    }
  }
  return marks
}

/** From the overview to the page of a job, by clicking. The board changes its pages in place: each has something to wait for. */
async function walkToJob(page: Page, state: string, jobId: string): Promise<void> {
  await page.goto('/')
  await page.getByRole('link', { name: 'Board' }).click()
  await page.getByRole('complementary').getByRole('link', { name: raw.name }).click()
  await page.getByRole('link', { name: 'LATEST' }).waitFor()
  await page.getByRole('link', { name: new RegExp(`^${state}`) }).click()
  await page.getByRole('link', { name: jobId, exact: true }).click()
  await backToList(page).waitFor()
}

const backToList = (page: Page) => page.getByRole('main').getByRole('link', { name: raw.name })

/** From the page of a job to the story of its order, which the board opens beside it. */
async function openStory(page: Page): Promise<Page> {
  const [story] = await Promise.all([page.waitForEvent('popup'), page.getByRole('link', { name: 'Explain' }).click()])
  await story.getByRole('heading', { name: /^Order / }).waitFor()
  return story
}

const field = (page: Page, name: string, value: string) => page.getByText(`${name}:"${value}"`)
/** The buttons of the job, in the order in which the board draws them: it names them only in their tooltips. */
const buttonsOf = (page: Page) => page.getByRole('main').getByRole('listitem').getByRole('button')

async function confirm(page: Page, text: string): Promise<void> {
  const asked = page.getByRole('alertdialog')
  expect(await asked.innerText()).toContain(text)
  await asked.getByRole('button', { name: 'Confirm' }).click()
}

describe('a viewer', () => {
  test("walks from the overview to a finished job, its evidence and its order's story", async () => {
    const { page, complaints } = await open(VIEWER)
    await walkToJob(page, 'COMPLETED', 'order-unpaid-1')
    await field(page, 'outcome', 'cancelled').waitFor()
    await field(page, 'status', 'pending').waitFor()
    await page.getByText('decidedBy:').waitFor()
    const story = await openStory(page)
    expect(story.url()).toBe(`${url}/orders/unpaid-1`)
    const told = await story.locator('body').innerText()
    expect(told).toMatch(/Cancelled at \S+Z, because it was still unpaid/)
    expect(told).toContain('check scheduled')
    expect(told).toMatch(/decided by \S+: cancelled, the store said: status pending/)
    expect(complaints).toEqual([])
  })

  test('finds no button that changes anything, and is refused without one', async () => {
    const { page } = await open(VIEWER)
    await walkToJob(page, 'DELAYED', 'order-later-25')
    await page.getByText('Will run at').waitFor()
    expect(await buttonsOf(page).count()).toBe(0)
    const refused = await page.evaluate(async (path) => {
      const response = await fetch(path, { method: 'PUT' })
      return [response.status, await response.json()] as const
    }, `/board/api/queues/${raw.name}/order-later-25/promote`)
    expect(refused).toEqual([403, expect.objectContaining({ code: 'FORBIDDEN' })])
    await backToList(page).click()
    await page.getByRole('link', { name: 'order-later-25', exact: true }).waitFor()
    expect(await page.getByRole('button', { name: /all$/ }).count()).toBe(0)
    expect((await shop.find('later-25'))?.check).toMatchObject({ state: 'waiting' })
  })
})

test('whoever knows only the id of an order finds its story, and from there its check on the board', async () => {
  const { page, complaints } = await open(VIEWER)
  await page.goto('/')
  await page.getByRole('link', { name: 'Find an order' }).click()
  await page.getByLabel('Order id').fill(' unpaid-1 ')
  await page.getByRole('button', { name: 'Explain' }).click()
  await page.getByRole('heading', { name: 'Order unpaid-1' }).waitFor()
  expect(new URL(page.url()).pathname).toBe('/orders/unpaid-1')
  await page.getByRole('link', { name: 'Check on the board' }).click()
  await field(page, 'outcome', 'cancelled').waitFor()
  expect(complaints).toEqual([])
})

describe('an operator', () => {
  test('promotes a check that was delayed for too long, and sees it cancel the order', async () => {
    await shop.schedule({ orderId: 'slow-1', deadline: '2s' })
    await (await raw.queue.getJob('order-slow-1'))?.changeDelay(3_600_000)
    const { page, complaints } = await open(OPERATOR)
    await walkToJob(page, 'DELAYED', 'order-slow-1')
    await buttonsOf(page).first().hover()
    await page.getByText('Promote', { exact: true }).waitFor()
    await buttonsOf(page).first().click()
    await confirm(page, 'promote this job')
    await field(page, 'outcome', 'cancelled').waitFor()
    expect(await daemon.until(({ jobId }) => jobId === 'order-slow-1')).toMatchObject({
      by: 'bob',
      action: 'promote',
      msg: 'bob on the board: promote',
    })
    await (await openStory(page)).getByText('cancelled, according to the order store', { exact: true }).waitFor()
    expect(complaints).toEqual([])
  })

  test('retries a check that was given up, once its cause is mended', async () => {
    await shop.schedule({ orderId: 'broken-1', deadline: '2s' })
    const [jobId, delayed, failed] = ['order-broken-1', raw.queue.toKey('delayed'), raw.queue.toKey('failed')]
    const giveUp = raw.redis.multi().zrem(delayed, jobId).zadd(failed, Date.now(), jobId)
    await giveUp.hset(raw.queue.toKey(jobId), { failedReason: 'STORE_REJECTED: stock', finishedOn: Date.now() }).exec()
    const { page, complaints } = await open(OPERATOR)
    await walkToJob(page, 'FAILED', 'order-broken-1')
    await page.getByText('STORE_REJECTED').first().waitFor()
    await buttonsOf(page).first().click()
    await confirm(page, 'retry this job')
    await page.getByRole('tab', { name: 'Data' }).click()
    await field(page, 'outcome', 'cancelled').waitFor()
    expect((await shop.find('broken-1'))?.order?.status).toBe('cancelled')
    expect(await daemon.until(({ action }) => action === 'retry')).toMatchObject({ by: 'bob', jobId: 'order-broken-1' })
    expect(complaints).toEqual([])
  })

  test('is told why nothing is deleted', async () => {
    const { page } = await open(OPERATOR)
    await walkToJob(page, 'DELAYED', 'order-later-5')
    await buttonsOf(page).last().click()
    await confirm(page, 'clean this job')
    await page.getByText('Forbidden').waitFor()
    await page.getByText('not on this board: it would lose orders').waitFor()
    await page.getByRole('button', { name: 'Promote all' }).waitFor()
    expect((await shop.find('later-5'))?.check).toMatchObject({ state: 'waiting' })
  })
})

test('every page works under any name and without TLS, without an error, and asks nothing of another site', async () => {
  const { page, complaints } = await open(VIEWER, { at: url.replace('127.0.0.1', OTHER_NAME) })
  for (const [path, shows] of [
    ['/', 'Deadlines to come in the next hour'],
    ['/board', 'Jobs'],
    [`/board/queue/${raw.name}?status=completed`, 'order-unpaid-1'],
    [`/board/queue/${raw.name}/order-unpaid-1`, 'decidedBy:'],
    ['/docs', '/v1/orders/batch'],
    ['/orders/unpaid-1', 'check begun'],
    ['/orders/nobody', 'Unknown: '],
  ] as const) {
    await page.goto(path)
    await page.getByText(shows).first().waitFor()
  }
  // Chromium calls it an error that it has no use for this header without TLS.
  expect(complaints.filter((complaint) => !complaint.includes('Cross-Origin-Opener-Policy'))).toEqual([])
})
