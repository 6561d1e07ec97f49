import { describe, expect, test } from '@jest/globals'
import { type ErrorCode, OrderExpiryError } from '../../../../src/errors.ts'
import { problemPage } from '../../../../src/http/pages/problem-page.ts'
import { fakeSite } from '../../../helpers/fake-site.ts'

const render = (
  code: ErrorCode,
  given: Parameters<typeof fakeSite>[0] & { message?: string; retryAfter?: string } = {},
) => {
  const { message = 'why', retryAfter, ...site } = given
  const error = new OrderExpiryError(code, message)
  const problem = { status: error.httpStatus, detail: message, code, requestId: 'r-1' }
  return problemPage({ site: fakeSite({ environment: 'staging', ...site }), error, problem, retryAfter })
}
const since = Date.parse('2026-11-25T10:00:30Z')
const away = (code: ErrorCode, inner: string) => ({
  since,
  error: new OrderExpiryError(code, 'secret-host', { cause: Object.assign(new Error('x'), { code: inner }) }),
})

describe('a refusal, for people', () => {
  test.each([
    ['UNAUTHORIZED', '401 '],
    ['FORBIDDEN', '403 Not allowed'],
    ['NOT_FOUND', '404 There is no such page'],
    ['RATE_LIMITED', '429 Too many requests'],
    ['UNEXPECTED', '500 Something went wrong here'],
    ['STOPPING', '503 Not possible now'],
  ] as const)('of %s says so, with the environment, the request, and a way on', (code, title) => {
    const html = render(code, { message: '<b>why</b>' })
    expect(html).toContain(`<title>${title}`)
    for (const text of ['lang="en"', '<main>', '<h1>', '&#60;b&#62;why', 'staging', code, 'r-1', 'href="/"']) {
      expect(html).toContain(text)
    }
    expect(html).not.toMatch(/<script|https?:/)
    expect(html).not.toContain('1.2.3') // whoever has no business here is not told the version
  })

  test('says when to ask again', () => {
    expect(render('RATE_LIMITED', { retryAfter: '7' })).toContain('Try again in 7 s')
    expect(render('RATE_LIMITED', { retryAfter: 'Mon, 30 Nov' })).not.toContain('again')
  })

  test('of what is away says since when and why, without a name of a host, and what it means', () => {
    const redis = away('REDIS_UNAVAILABLE', 'ECONNREFUSED')
    const html = render('REDIS_UNAVAILABLE', { vitals: { outages: { redis, store: undefined } } })
    for (const text of [
      '<title>⚠ Redis is away – order-expiry</title>',
      'nothing listens at its address (REDIS_UNAVAILABLE, ECONNREFUSED)',
      '2026-11-25 10:00:30 UTC',
      'sweeps cancel each order within 1 s of its deadline',
      '/guide/runbook#orderexpiryredisdown',
    ]) {
      expect(html).toContain(text)
    }
    expect(html).not.toContain('secret-host')
  })

  test('makes its links below the path of a proxy', () => {
    expect(render('STORE_UNAVAILABLE', { base: '/ops' }).match(/href="\/(?!ops\/)/g)).toBeNull()
  })
})

test.each([
  ['sweeps cancel each order within 1 s of its deadline', {}],
  ['the order store is away as well', { outages: { redis: undefined, store: away('STORE_UNAVAILABLE', 'ETIMEDOUT') } }],
  ['it is not known whether the brake is engaged', { brakeFailure: new Error() }],
  ['the brake is engaged', { brake: { engaged: true } }],
  ['DRY_RUN is set', { dryRun: true }],
])('while Redis is away: %s', (expected, vitals) => {
  expect(render('REDIS_UNAVAILABLE', { vitals })).toContain(expected)
})

test('where the deadline is only on the job, nothing sweeps either', () => {
  const html = render('REDIS_UNAVAILABLE', { isSwept: false })
  expect(html).toContain('no order is cancelled now, because your table has no deadline')
})

test('where Redis is the order store, nothing sweeps, and nobody says so', () => {
  for (const code of ['REDIS_UNAVAILABLE', 'STORE_UNAVAILABLE'] as const) {
    const html = render(code, { isStoreInRedis: true })
    expect(html).toContain('⚠ Redis is away')
    expect(html).not.toContain('sweep')
  }
})

test('whatever is written in a page, its marks and control characters are shown, and do nothing', () => {
  const html = render('NOT_FOUND', { message: 'night \u001b[31m\u202ered\u200b' })
  expect(html).toContain('night \\u001b[31m\\u202ered\\u200b')
  expect(html).toContain('\n</body>\n')
})
