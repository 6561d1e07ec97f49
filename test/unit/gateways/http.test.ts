import { randomBytes } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { systemClock } from '../../../src/runtime/clock.ts'
import { openGatewayOf, startProvider } from '../../helpers/open-gateway.ts'
import { PaymentService } from '../../helpers/payment-service.ts'
import { closingOf } from '../../helpers/provider-server.ts'

async function open(env: Record<string, string> = {}) {
  const service = await startProvider(PaymentService)
  const gateway = await openGatewayOf({ ...service.env, ...env }, { clock: systemClock })
  return { service, close: (payment = 'pay-1') => gateway.close(closingOf(payment)), gateway }
}

test('the request is signed, under the idempotency key, and says what is known of the payment', async () => {
  const { service, gateway } = await open()
  const payment = { reference: 'pay-1', method: 'card', amount: '12.50' }
  expect(await gateway.close(closingOf(payment))).toEqual({ kind: 'closed', detail: undefined })
  const request = {
    orderId: 'A-1',
    payment: 'pay-1',
    method: 'card',
    amount: '12.50',
    deadline: '2030-01-01T00:00:00.000Z',
    idempotencyKey: 'order-expiry-A-1-pay-1',
  }
  expect(service.requests).toEqual([request])
  const [asked] = service.asked
  expect(asked).toMatchObject({ method: 'POST', path: '/close?shop=1' })
  expect(asked?.headers).toMatchObject({
    'content-type': 'application/json',
    accept: 'application/json',
    'user-agent': 'order-expiry/0',
    'webhook-id': 'order-expiry-A-1-pay-1',
  })
})

test('while a secret is replaced, either is accepted', async () => {
  const { service, gateway } = await open()
  const rotated = { PAYMENT_SECRET: `whsec_${randomBytes(32).toString('base64')}, ${service.secret}` }
  const other = await openGatewayOf({ ...service.env, ...rotated }, { clock: systemClock })
  for (const one of [gateway, other]) expect((await one.close(closingOf('pay-1'))).kind).toBe('closed')
  expect(service.requests).toHaveLength(2)
})

test('a service that refuses the signature is unknown, and not because of this payment', async () => {
  const { close } = await open({ PAYMENT_SECRET: `whsec_${randomBytes(32).toString('base64')}` })
  expect(await close()).toEqual({ kind: 'unknown', isThere: false, retryAfterMs: undefined, detail: 'answered 401' })
})

describe('an answer', () => {
  test.each([
    [
      { verdict: 'closed', detail: 'voided' },
      { kind: 'closed', detail: 'voided' },
    ],
    [{ verdict: 'paid' }, { kind: 'paid' }],
    [{ verdict: 'authorised' }, { kind: 'authorised' }],
    [
      { verdict: 'in-flight', retryAfter: 30 },
      { kind: 'in-flight', retryAfterMs: 30_000 },
    ],
    [
      { verdict: 'closing', retryAfter: 0.5 },
      { kind: 'closing', retryAfterMs: 500 },
    ],
    [
      { verdict: 'closing', retryAfter: 0 },
      { kind: 'closing', retryAfterMs: 0 },
    ],
    [{ verdict: 'cannot-close' }, { kind: 'cannot-close' }],
    [{ verdict: 'closed', of: 'later' }, { kind: 'closed' }],
    [
      { verdict: 'paid', detail: 'x'.repeat(1_000) },
      { kind: 'paid', detail: `${'x'.repeat(199)}…` },
    ],
  ])('%j is %j', async (said, verdict) => {
    const { service, close } = await open()
    service.verdict = () => said
    expect(await close()).toEqual(verdict)
  })

  test.each([
    {},
    [],
    { verdict: 'unknown' },
    { verdict: 'CLOSED' },
    { verdict: 'canceled' },
    { closed: true },
    { verdict: ['closed'] },
    { verdict: 'closed', retryAfter: '5' },
    { verdict: 'closed', retryAfter: -1 },
    { verdict: 'closed', detail: {} },
  ])('%j is none', async (said) => {
    const { service, close } = await open()
    service.verdict = () => said
    expect(await close()).toMatchObject({
      kind: 'unknown',
      isThere: true,
      detail: expect.stringMatching(/^no verdict: /),
    })
  })
})

test.each([
  ['http://1.1.1.1/pay', false],
  ['http://[2606:4700::1111]/pay', false],
  ['http://10.0.0.7/pay', true],
  ['http://payments.shop.svc/pay', true],
  ['https://1.1.1.1/pay', true],
  ['https://ann:secret@pay.example.com', false],
  ['https://pay.example.com/#x', false],
  ['ftp://pay.example.com', false],
  ['pay.example.com', false],
])('PAYMENT_URL=%s is taken: %s', async (url, isTaken) => {
  const env = {
    PAYMENT_GATEWAY: 'http',
    PAYMENT_URL: url,
    PAYMENT_SECRET: `whsec_${randomBytes(32).toString('base64')}`,
  }
  const opened = openGatewayOf(env, { clock: systemClock })
  if (isTaken) await expect(opened).resolves.toMatchObject({ name: 'http' })
  else await expect(opened).rejects.toThrow(/PAYMENT_URL: expected https:/)
})
