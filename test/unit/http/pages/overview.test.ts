import { describe, expect, test } from '@jest/globals'
import { OrderExpiryError } from '../../../../src/errors.ts'
import { overviewPage } from '../../../../src/http/pages/overview.ts'
import type { Overview } from '../../../../src/http/pages/read-overview.ts'
import { fakeOverview, NOTHING_OF_REDIS } from '../../../helpers/fake-overview.ts'
import { fakeSite } from '../../../helpers/fake-site.ts'

const steps = { address: 'http://10.0.0.7:3000', api: 'open' } as const
const render = (given: Partial<Overview> = {}, options: Partial<Parameters<typeof overviewPage>[0]> = {}) =>
  overviewPage({
    site: fakeSite({ environment: '<staging>' }),
    overview: fakeOverview(given),
    boardPath: '/board/queue/q',
    isPaused: false,
    steps,
    ...options,
  })
const titleOf = (html: string) => /<title>(.*) – order-expiry<\/title>/.exec(html)?.[1]
/** The level, value and note of each tile, by name. */
const tilesOf = (html: string) =>
  Object.fromEntries(
    [
      ...html.matchAll(/<a class="tile ?(\w*)" href="([^"]+)"><span>([^<]+)<\/span><b>([^<]+)<\/b>(?:<span>([^<]+))?/g),
    ].map(([, level, href, name, value, note = '']) => [
      name as string,
      { level, value, note, href: (href as string).replace('&#61;', '=') },
    ]),
  )
const AT = fakeOverview().at
const away = (code: 'REDIS_UNAVAILABLE' | 'STORE_UNAVAILABLE') => ({
  since: AT - 300_000,
  error: new OrderExpiryError(code, 'db.internal does not answer'),
})

describe('the overview', () => {
  test('of a shop where all is well says so, shows what there is, and needs nothing of another site and no script', () => {
    const html = render()
    expect(html).toContain('<h1 class="good">All is well</h1>')
    expect(html.match(/<svg/g)).toHaveLength(3)
    expect(html).toContain('&#60;staging&#62;')
    expect(html).not.toMatch(/<script|https?:|class="trouble/)
    expect(html).toContain('prefers-color-scheme: dark')
    expect(tilesOf(html)).toMatchObject({
      Redis: { level: 'good', value: 'up', note: '1.5 MB, no limit, noeviction' },
      'Last sweep': { level: 'good', value: '40 s ago', note: 'nothing was overdue, by a:1' },
      'Late orders': { level: 'good', value: '0' },
      'Lateness, 15 min': { level: 'good', value: '≤ 10 ms' },
      Waiting: { value: '1,234', href: '/board/queue/q?status=delayed' },
      'Cancelled, 1 h': { value: '1,770', note: 'of 1,830 decisions' },
      'Given up': { level: 'good', value: '0', href: '/board/queue/q?status=failed' },
    })
  })

  test('comes again by itself until somebody stops it', () => {
    expect(render()).toContain('<a href="/?paused">Pause</a>')
    expect(render({}, { isPaused: true })).toContain('<a href="/">Resume</a>')
  })

  test('makes every link below the path of a proxy', () => {
    const html = render(
      { cancelled: [{ orderId: 'a/b', deadline: '', decidedAt: '', decidedBy: 'a:1', by: 'check', jobId: 'j' }] },
      {
        site: fakeSite({ base: '/ops' }),
      },
    )
    expect(html).toContain('href="/ops/orders/a%2Fb?job&#61;j"')
    expect(html.match(/href="\/(?!ops\/)/g)).toBeNull()
  })
})

describe('the tab and the heading tell', () => {
  const redis = { ...NOTHING_OF_REDIS, away: { redis: away('REDIS_UNAVAILABLE'), store: undefined } }
  const store = { overdue: undefined, away: { redis: undefined, store: away('STORE_UNAVAILABLE') } }
  test.each([
    ['All is well', 'All is well', {}],
    ['Look at: Given up', 'Look at: Given up', { counts: { jobs: { failed: 1 }, isPaused: false } }],
    ['⚠ Redis is away', 'Redis is away', redis],
    ['⚠ The order store is away', 'The order store is away', store],
    ['3 late', '3 orders are late', { overdue: { orders: 3, oldestSeconds: 60 } }],
    ['⚠ The brake is engaged', 'The brake is engaged', { brake: { engaged: true, reason: 'manual', by: 'ann' } }],
    ['⚠ The state of the brake is unknown', 'The state of the brake is unknown', { brakeFailure: new Error() }],
    ['⚠ Redis refuses the worker', 'Redis refuses the worker', { workerFailure: new Error() }],
    ['⚠ The queue is paused', 'The queue is paused', { counts: { jobs: {}, isPaused: true } }],
    ['⚠ Dry run: nothing is cancelled', 'Dry run: nothing is cancelled', { dryRun: true }],
    ['⚠ This process is starting', 'This process is starting', { phase: 'starting' }],
    ['⚠ This process is stopping', 'This process is stopping', { phase: 'stopping' }],
  ] as [string, string, Partial<Overview>][])('%s', (title, heading, given) => {
    const html = render(given)
    expect([titleOf(html), /<h1[^>]*>(.*)<\/h1>/.exec(html)?.[1]]).toEqual([title, heading])
    expect(html.match(/<h1/g)).toHaveLength(1)
  })

  test('the cause first, and what follows from it below', () => {
    const html = render({ ...redis, overdue: { orders: 1, oldestSeconds: 20 } })
    expect(titleOf(html)).toBe('⚠ Redis is away')
    expect(html).toContain('<h2>1 order is late</h2>')
    expect(html).not.toContain('The next sweep')
    expect(render({ overdue: { orders: 1, oldestSeconds: 20 } })).toContain('The next sweep cancels what it may.')
  })

  test('what is away: why, since when, what it means, and what to do', () => {
    const html = render(redis)
    for (const text of [
      'it does not answer (REDIS_UNAVAILABLE)',
      '2026-11-25 09:55:30 UTC, for',
      'sweeps cancel each order within 1 s of its deadline',
      'href="/guide/runbook#orderexpiryredisdown"',
      'cannot be read now',
    ]) {
      expect(html).toContain(text)
    }
    expect(html).not.toMatch(/<svg|db\.internal/)
    expect(tilesOf(html)).toMatchObject({
      Redis: { level: 'bad', value: 'away', note: 'since 09:55:30 UTC' },
      Brake: { value: 'unknown' },
      Waiting: { value: '–' },
      'Given up': { value: '–' },
      'Lateness, 15 min': { value: '–' },
    })
  })

  test('what a process that was started while Redis is away does not do', () => {
    const html = render({ ...redis, phase: 'starting' })
    expect(html).toContain('no order is cancelled now, because this process was started meanwhile')
    expect(html).not.toContain('sweeps cancel')
  })

  test.each([
    [
      'a brake with a limit or a silence grants nothing',
      { isBrakeLimited: true },
      /BRAKE_MAX_PER_MINUTE or BRAKE_PAYMENT_SILENCE/,
    ],
    ['the table has no deadlines', { isSwept: false }, /ORDERS_DEADLINE_COLUMN/],
  ])('that nothing is swept meanwhile where %s', (_, site, why) => {
    const html = render(redis, { site: fakeSite(site) })
    expect(html).toMatch(new RegExp(`no order is cancelled now, because .*${why.source}`))
    expect(html).not.toContain('sweeps cancel')
  })

  test.each([
    ['the brake is engaged', { brake: { engaged: true } }],
    ['nobody knows whether it is', { brakeFailure: new Error() }],
    ['DRY_RUN is set', { dryRun: true }],
    ['the order store is away', store],
  ] as [string, Partial<Overview>][])('that sweeps still cancel, but not where %s', (_, given) => {
    const paused = { counts: { jobs: {}, isPaused: true }, workerFailure: new Error() }
    expect(render(paused)).toContain('Sweeps still cancel')
    expect(render({ ...paused, ...given })).not.toContain('Sweeps still cancel')
  })

  test('one outage, where Redis is the order store too', () => {
    const both = { ...redis, away: { redis: away('REDIS_UNAVAILABLE'), store: away('STORE_UNAVAILABLE') } }
    const html = render(both, { site: fakeSite({ isStoreInRedis: true }) })
    expect(html).toContain('No order can be scheduled, paid or cancelled until Redis is back')
    expect(html).not.toMatch(/<h2>The order store|sweeps cancel/)
  })
})

describe('a tile', () => {
  test.each([
    [
      'late in seconds, red and in words',
      'Lateness, 15 min',
      { history: [{ 'late:11': 5 }] },
      'bad',
      '≤ 5 s',
      /^late: 1 s is promised/,
    ],
    ['later than anybody knows', 'Lateness, 15 min', { history: [{ 'late:16': 5 }] }, 'bad', '> 300 s', /^late/],
    ['in time', 'Lateness, 15 min', { history: [{ 'late:9': 5 }] }, 'good', '≤ 1 s', /./],
    ['late orders', 'Late orders', { overdue: { orders: 1_234, oldestSeconds: 300 } }, 'bad', '1,234 late', /5 min/],
    ['given up', 'Given up', { counts: { jobs: { failed: 2 }, isPaused: false } }, 'warn', '2', /replay/],
    [
      'Redis that deletes',
      'Redis',
      { memory: { used: 1e6, max: 2e6, policy: 'allkeys-lru' } },
      'warn',
      'may lose orders',
      /allkeys/,
    ],
    [
      'Redis that is nearly full',
      'Redis',
      { memory: { used: 9e6, max: 1e7, policy: 'noeviction' } },
      'warn',
      'nearly full',
      /8.6 MB of 9.5 MB/,
    ],
    [
      'a sweep that failed',
      'Last sweep',
      { lastSweep: { by: 'b:2', at: AT, overdue: 3, cancelled: 0, error: 'STORE_REFUSED' } },
      'bad',
      '0 s ago',
      /STORE_REFUSED, by b:2/,
    ],
    [
      'a sweep that found something',
      'Last sweep',
      { lastSweep: { by: 'b:2', at: AT, overdue: 3, cancelled: 2 } },
      'good',
      '0 s ago',
      /2 of 3 overdue cancelled, by b:2/,
    ],
    [
      'sweeps that are missing',
      'Last sweep',
      { lastSweep: { by: 'b:2', at: AT - 300_000, overdue: 0, cancelled: 0 } },
      'warn',
      '5 min ago',
      /overdue itself/,
    ],
    ['no sweep', 'Last sweep', { lastSweep: undefined }, '', 'none yet', /^$/],
    ['an outbox', 'Outbox', { outbox: { events: 12, oldestAgeMs: 5_000 } }, '', '12 events', /5 s/],
    ['an empty outbox', 'Outbox', { outbox: { events: 0, oldestAgeMs: undefined } }, '', '0 events', /taken/],
    [
      'an outbox that nobody reads',
      'Outbox',
      { outbox: { events: 12, oldestAgeMs: 1e6 } },
      'warn',
      '12 events',
      /nobody takes/,
    ],
    ['a clock', 'Clock of Redis', { clockOffsets: { redis: 600_000, store: 0 } }, 'warn', '600.0 s ahead', /ours/],
    [
      'backlog',
      'Backlog',
      { setAside: { backlog: { orders: 3_000 }, unreadable: { orders: 0, examples: [] } } },
      'warn',
      '3,000',
      /./,
    ],
    [
      'a breaker',
      'Order store',
      { isBreakerOpen: true, away: { redis: undefined, store: away('STORE_UNAVAILABLE') } },
      'bad',
      'away',
      /breaker open/,
    ],
    ['a store that was not tried', 'Order store', { isStoreTried: false }, 'warn', 'unknown', /not opened/],
  ] as [string, string, Partial<Overview>, string, string, RegExp][])('%s', (_, name, given, level, value, note) => {
    const html = render(given)
    expect(tilesOf(html)[name]).toMatchObject({
      level,
      value: value.replace('>', '&#62;'),
      note: expect.stringMatching(note),
    })
    expect(html).not.toMatch(/NaN|Infinity|undefined/)
  })

  test('each leads on: to the board, to the runbook, to the guide', () => {
    const hrefs = Object.values(tilesOf(render())).map(({ href }) => href)
    expect(hrefs.length).toBeGreaterThanOrEqual(11)
    for (const href of hrefs) expect(href).toMatch(/^\/(board\/queue\/q|guide\/(runbook|brake|redis-store))/)
  })
})

test('the orders that were cancelled last lead to their stories, and say how late', () => {
  const [deadline, decidedAt] = ['2026-11-25T10:00:00.000Z', '2026-11-25T10:00:01.234Z']
  const html = render({ cancelled: [{ orderId: '<A>', deadline, decidedAt, decidedBy: 'a:1', by: 'sweep' }] })
  const inTime = {
    orderId: 'B',
    deadline,
    decidedAt: '2026-11-25T10:00:01.000Z',
    decidedBy: 'a:1',
    by: 'check',
  } as const
  expect(render({ cancelled: [inTime] })).toContain('<td>1 s</td><td>check<span class="more">, a:1</span></td>')
  expect(html).toContain(
    '<a href="/orders/%3CA%3E">&#60;A&#62;</a></th><td><time datetime="2026-11-25T10:00:01.234Z">10:00:01</time></td><td class="bad">1.2 s, late</td><td>sweep<span class="more">, a:1</span></td>',
  )
})

test('the processes, with their versions', () => {
  const html = render({
    processes: [
      { name: 'a:1', version: '0.2.0', startedAt: AT - 7_200_000 },
      { name: 'b:2', version: '0.3.0', startedAt: AT, sweep: { by: 'b:2', at: AT - 5_000, overdue: 0, cancelled: 0 } },
    ],
  })
  expect(html).toContain('a:1</th><td>0.2.0</td><td>2.0 h</td><td>–</td>')
  expect(html).toContain('b:2</th><td>0.3.0</td><td>0 s</td><td>5 s ago</td>')
  expect(tilesOf(html).Queue).toMatchObject({ note: '2 processes' })
})

describe('where no order has been seen yet', () => {
  const empty = {
    counts: { jobs: { delayed: 0, failed: 0 }, isPaused: false },
    history: [{}, {}],
    cancelled: [],
  }
  test('it says what to do first, with this address', () => {
    const html = render(empty)
    for (const text of [
      'Ready for the first order',
      'npx order-expiry schedule order-1 --timeout 1m',
      'curl -X PUT http://10.0.0.7:3000/v1/orders/order-1',
      'npx order-expiry doctor',
      'href="/orders/order-1"',
    ]) {
      expect(html).toContain(text)
    }
    expect(html).not.toContain('Authorization')
    expect(render(empty, { site: fakeSite({ isStoreInRedis: true }) })).not.toContain('doctor')
  })

  test('and what the API wants', () => {
    expect(render(empty, { steps: { ...steps, api: 'token' } })).toContain('Authorization: Bearer $TOKEN')
    expect(render(empty, { steps: { ...steps, api: 'closed' } })).not.toContain('curl')
  })

  test.each([
    ['there is a job', { counts: { jobs: { failed: 1 }, isPaused: false } }],
    ['an order is late', { overdue: { orders: 1, oldestSeconds: 20 } }],
    ['something was decided', { history: [{ kept: 1 }] }],
    ['nobody knows', NOTHING_OF_REDIS],
  ])('but not where %s', (_, given) => {
    expect(render({ ...empty, ...given })).not.toContain('Schedule a first order')
  })
})
