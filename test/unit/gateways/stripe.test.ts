import { describe, expect, test } from '@jest/globals'
import { systemClock } from '../../../src/runtime/clock.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { openGatewayOf, startProvider } from '../../helpers/open-gateway.ts'
import { closingOf } from '../../helpers/provider-server.ts'
import { StripeServer } from '../../helpers/stripe-server.ts'

async function open({ clock = systemClock, voidAuthorised = false } = {}) {
  const stripe = await startProvider(StripeServer)
  const gateway = await openGatewayOf(stripe.env, { clock, voidAuthorised })
  return { stripe, gateway, close: (reference: string) => gateway.close(closingOf(reference)) }
}

describe('a PaymentIntent that', () => {
  // https://docs.stripe.com/api/payment_intents/object#payment_intent_object-status
  test.each([
    ['requires_payment_method', 0, 'closed', 'closed'],
    ['requires_confirmation', 0, 'closed', 'closed'],
    ['requires_action', 0, 'closed', 'closed'],
    ['processing', 0, 'in-flight', 'in-flight'],
    ['requires_capture', 0, 'authorised', 'closed'],
    ['requires_capture', 500, 'paid', 'paid'],
    ['canceled', 0, 'closed', 'closed'],
    ['canceled', 500, 'paid', 'paid'],
    ['succeeded', 1_000, 'paid', 'paid'],
    ['succeeded', 0, 'paid', 'paid'],
    ['of_a_later_version', 0, 'unknown', 'unknown'],
    ['constructor', 0, 'unknown', 'unknown'],
  ])(
    'is %s, of which %i was received, is %s, and %s with AUTHORISED=void',
    async (status, received, verdict, voided) => {
      for (const [voidAuthorised, kind] of [[false, verdict] as const, [true, voided] as const]) {
        const { stripe, close } = await open({ voidAuthorised })
        stripe.intents.set('pi_1', { status, amount_received: received })
        expect(await close('pi_1')).toMatchObject({ kind })
        const isCancelled = kind === 'closed' && status !== 'canceled'
        expect(stripe.closed).toEqual(isCancelled ? ['pi_1'] : [])
      }
    },
  )

  test('is paid between being read and being cancelled is paid', async () => {
    const { stripe, close } = await open()
    stripe.intents.set('pi_1', { status: 'requires_action' })
    stripe.meanwhile = () => stripe.intents.set('pi_1', { status: 'succeeded', amount_received: 1_000 })
    expect(await close('pi_1')).toEqual({ kind: 'paid', detail: 'PaymentIntent succeeded' })
    expect(stripe.closed).toEqual([])
  })

  test('is of a Checkout Session, which alone can be expired, stays unknown and says why', async () => {
    const { stripe, close } = await open()
    stripe.intents.set('pi_1', { status: 'requires_payment_method' })
    stripe.sessions.set('cs_1', { status: 'open', payment_status: 'unpaid', payment_intent: 'pi_1' })
    expect(await close('pi_1')).toEqual({
      kind: 'unknown',
      isThere: true,
      detail:
        'closing was refused: answered 400 (payment_intent_unexpected_state); it is still PaymentIntent requires_payment_method',
    })
  })

  test('does not exist is unknown, for this payment alone', async () => {
    const { close } = await open()
    const detail = 'answered 404 (resource_missing)'
    expect(await close('pi_1')).toMatchObject({ kind: 'unknown', isThere: true, detail })
  })
})

describe('a Checkout Session that', () => {
  // https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-status, …-payment_status
  test.each([
    ['open', 'unpaid', undefined, 'closed', 'closed'],
    ['open', 'no_payment_required', undefined, 'closed', 'closed'],
    ['open', 'paid', undefined, 'paid', 'paid'],
    ['expired', 'unpaid', undefined, 'closed', 'closed'],
    ['complete', 'paid', 'succeeded', 'paid', 'paid'],
    ['complete', 'no_payment_required', undefined, 'paid', 'paid'],
    ['complete', 'unpaid', 'processing', 'in-flight', 'in-flight'],
    ['complete', 'unpaid', 'requires_action', 'in-flight', 'in-flight'],
    ['complete', 'unpaid', 'requires_capture', 'authorised', 'closed'],
    ['complete', 'unpaid', 'requires_payment_method', 'cannot-close', 'cannot-close'],
    ['complete', 'unpaid', 'requires_confirmation', 'cannot-close', 'cannot-close'],
    ['complete', 'unpaid', 'canceled', 'closed', 'closed'],
    ['complete', 'unpaid', 'succeeded', 'paid', 'paid'],
    ['complete', 'unpaid', 'of_a_later_version', 'unknown', 'unknown'],
    ['complete', 'unpaid', undefined, 'unknown', 'unknown'],
    ['complete', 'of_a_later_version', undefined, 'unknown', 'unknown'],
    ['open', 'of_a_later_version', undefined, 'unknown', 'unknown'],
    ['of_a_later_version', 'unpaid', undefined, 'unknown', 'unknown'],
  ])('is %s and %s, with a PaymentIntent %s, is %s, and %s with AUTHORISED=void', async (...row) => {
    const [status, payment_status, intent, verdict, voided] = row
    for (const [voidAuthorised, kind] of [[false, verdict] as const, [true, voided] as const]) {
      const { stripe, close } = await open({ voidAuthorised })
      stripe.sessions.set('cs_test_1', { status, payment_status, ...(intent && { payment_intent: 'pi_1' }) })
      if (intent) stripe.intents.set('pi_1', { status: intent })
      expect(await close('cs_test_1')).toMatchObject({ kind })
    }
  })

  test('is completed between being read and being expired is paid', async () => {
    const { stripe, close } = await open()
    stripe.sessions.set('cs_1', { status: 'open', payment_status: 'unpaid' })
    stripe.meanwhile = () => stripe.sessions.set('cs_1', { status: 'complete', payment_status: 'paid' })
    expect((await close('cs_1')).kind).toBe('paid')
  })
})

test('what is said of another payment is not believed', async () => {
  const { stripe, close } = await open()
  stripe.answers.GET.push(
    { id: 'pi_2', status: 'canceled', amount_received: 0 },
    { id: 'cs_2', status: 'expired', payment_status: 'unpaid' },
  )
  expect((await close('pi_1')).kind).toBe('unknown')
  expect((await close('cs_1')).kind).toBe('unknown')
})

test('a change that is answered with another status than it is for is looked at again', async () => {
  const { stripe, close } = await open()
  stripe.intents.set('pi_1', { status: 'requires_action' })
  stripe.sessions.set('cs_1', { status: 'open', payment_status: 'unpaid' })
  stripe.answers.POST.push({ id: 'pi_1', status: 'processing' }, { id: 'cs_1', status: 'open' })
  for (const reference of ['pi_1', 'cs_1']) expect((await close(reference)).kind).toBe('unknown')
})

test.each(['ch_1', 'pi', 'pi_1/cancel', 'pi_1_secret_hunter2', 'cs_1?x', '', 'pay-1'])(
  'the reference %j is passed on to nobody',
  async (reference) => {
    const { stripe, close } = await open()
    const verdict = await close(reference)
    expect(verdict).toMatchObject({ kind: 'unknown', isThere: true })
    expect(verdict.detail).not.toContain('hunter2')
    expect(stripe.asked).toEqual([])
  },
)

test('a wrong key is no trouble of this payment, and is not told of', async () => {
  const { stripe } = await open()
  const gateway = await openGatewayOf({ ...stripe.env, STRIPE_API_KEY: 'sk_live_hunter3' }, { clock: systemClock })
  const detail = 'answered 401 (invalid_request_error)'
  expect(await gateway.close(closingOf('pi_1'))).toEqual({
    kind: 'unknown',
    isThere: false,
    retryAfterMs: undefined,
    detail,
  })
})

describe('a key of idempotency', () => {
  const keysOf = (stripe: StripeServer) =>
    stripe.asked.filter(({ method }) => method === 'POST').map(({ headers }) => headers['idempotency-key'])

  test('is the same for the same call, another one a minute later: Stripe would repeat an error for a day', async () => {
    const clock = new FakeClock()
    const { stripe, close } = await open({ clock })
    stripe.intents.set('pi_1', { status: 'requires_payment_method' })
    stripe.failures = 1
    expect((await close('pi_1')).kind).toBe('unknown')
    expect((await close('pi_1')).kind).toBe('unknown') // the same answer again
    await clock.advance(60_000)
    expect((await close('pi_1')).kind).toBe('closed')
    const [first, second, third] = keysOf(stripe)
    expect(first).toMatch(/^[0-9a-f]{64}$/)
    expect([first === second, first === third]).toEqual([true, false])
  })

  test('is another one in another status, whose answer would be about something else', async () => {
    const { stripe, close } = await open({ clock: new FakeClock() })
    stripe.intents.set('pi_1', { status: 'requires_action' })
    stripe.meanwhile = () => stripe.intents.set('pi_1', { status: 'processing' })
    expect((await close('pi_1')).kind).toBe('in-flight')
    stripe.meanwhile = () => {}
    stripe.intents.set('pi_1', { status: 'requires_payment_method' })
    expect((await close('pi_1')).kind).toBe('closed')
    expect(new Set(keysOf(stripe)).size).toBe(2)
  })
})
