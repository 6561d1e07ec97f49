import { expect, test } from '@jest/globals'
import { wantsPage } from '../../../src/http/wants-page.ts'

const CHROME = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8'
const wants = (url: string, accept?: string) => wantsPage({ url, headers: accept === undefined ? {} : { accept } })

test.each([
  [true, CHROME],
  [true, 'text/html'],
  [true, 'TEXT/HTML; charset=utf-8'],
  [true, 'application/json;q=0.5, text/html;q=0.9'],
  [false, undefined],
  [false, ''],
  [false, '*/*'],
  [false, 'application/json'],
  [false, 'text/html;q=0'],
  [false, 'application/problem+json, text/html;q=0.5'],
  [false, 'application/json, text/plain, */*'],
])('a page: %s for %s', (expected, accept) => {
  expect(wants('/orders/1', accept)).toBe(expected)
})

test.each([
  '/v1/orders/1',
  '/v1',
  '//v1/orders/1',
  '/board/api/queues',
  '/openapi.json',
  '/metrics',
  '/readyz?x',
  '/livez',
])('a program gets JSON of %s, even by a browser', (url) => {
  expect(wants(url, CHROME)).toBe(false)
})

test.each(['/', '/v1x', '/orders/v1', '/board', '/board/apiary', '/nothing', '/docs'])(
  'a person gets a page of %s',
  (url) => {
    expect(wants(url, CHROME)).toBe(true)
  },
)
