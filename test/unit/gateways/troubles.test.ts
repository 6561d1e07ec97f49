import { describe, expect, test } from '@jest/globals'
import type { PaymentGateway, Verdict } from '../../../src/order/payment-gateway.ts'
import { AlipayServer } from '../../helpers/alipay-server.ts'
import { eventually } from '../../helpers/eventually.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { openGatewayOf, startProvider } from '../../helpers/open-gateway.ts'
import { PaymentService } from '../../helpers/payment-service.ts'
import { closingOf, type ProviderServer, TROUBLES, type Trouble } from '../../helpers/provider-server.ts'
import { StripeServer } from '../../helpers/stripe-server.ts'
import { WechatServer } from '../../helpers/wechat-server.ts'

/** A provider with an open payment, and after how many calls it is closed. */
interface Subject {
  server: ProviderServer
  reference: string
  calls: number
  env: Record<string, string>
}

const SUBJECTS: Record<string, () => Promise<Subject>> = {
  async http() {
    const server = await startProvider(PaymentService)
    return { server, reference: 'pay-1', calls: 1, env: server.env }
  },
  async 'stripe, a PaymentIntent'() {
    const server = await startProvider(StripeServer)
    server.intents.set('pi_1', { status: 'requires_payment_method' })
    return { server, reference: 'pi_1', calls: 2, env: server.env }
  },
  async 'stripe, a Checkout Session'() {
    const server = await startProvider(StripeServer)
    server.sessions.set('cs_test_1', { status: 'open', payment_status: 'unpaid' })
    return { server, reference: 'cs_test_1', calls: 2, env: server.env }
  },
  async alipay() {
    const server = await startProvider(AlipayServer)
    server.trades.set('A-1', 'WAIT_BUYER_PAY')
    return { server, reference: 'A-1', calls: 2, env: server.env }
  },
  async wechat() {
    const server = await startProvider(WechatServer)
    server.orders.set('A-1', 'NOTPAY')
    return { server, reference: 'A-1', calls: 2, env: server.env }
  },
  async 'wechat, a combined order'() {
    const server = await startProvider(WechatServer)
    server.combined.set('C-1', [
      { mchid: '1', out_trade_no: 'A-1', trade_state: 'NOTPAY' },
      { mchid: '2', out_trade_no: 'A-2', trade_state: 'NOTPAY' },
    ])
    return { server, reference: 'combine:C-1', calls: 2, env: server.env }
  },
}

/** After how many calls in order an answer goes wrong. */
const CASES = Object.keys(SUBJECTS).flatMap((name) =>
  TROUBLES.flatMap((trouble) => (name === 'http' ? [0] : [0, 1]).map((after) => [name, trouble, after] as const)),
)
const IN_TIME: readonly Trouble[] = ['slow', 'twice']
const DETAILS: Partial<Record<Trouble, RegExp>> = {
  silent: /^no answer \(ETIMEDOUT\)$/,
  busy: /^answered 429/,
  unavailable: /^answered 503/,
  endless: /^no answer \(EMSGSIZE\)$/,
  lost: /^no answer \(/,
}

describe.each(CASES)('%s, %s after %i calls', (name, trouble, after) => {
  test('ends in a verdict that promises nothing, and the next try is right', async () => {
    const { server, reference, env, calls } = await (SUBJECTS[name] as () => Promise<Subject>)()
    const clock = new FakeClock(name === 'http' ? Date.now() : undefined)
    const gateway = await openGatewayOf(env, { clock })
    server.troubles.push(...Array.from({ length: after }, () => undefined), trouble)
    const verdict = await closedUnder({ gateway, clock, server, reference, trouble })
    const isWhole = IN_TIME.includes(trouble)
    expect(verdict.kind).toBe(isWhole ? 'closed' : 'unknown')
    expect(verdict.detail ?? '').toMatch((isWhole ? undefined : DETAILS[trouble]) ?? /^/)
    if (trouble === 'busy' || trouble === 'unavailable')
      expect(verdict).toMatchObject({ isThere: false, retryAfterMs: 7_000 })
    expect(server.asked.length).toBe(isWhole ? calls : after + 1) // nothing is tried again within one call
    expect((await gateway.close(closingOf(reference))).kind).toBe('closed')
    expect(server.closed).toEqual([reference.replace('combine:', '')])
  })
})

async function closedUnder(options: {
  gateway: PaymentGateway
  clock: FakeClock
  server: ProviderServer
  reference: string
  trouble: Trouble
}): Promise<Verdict> {
  const { gateway, clock, server, reference, trouble } = options
  const verdict = gateway.close(closingOf(reference))
  if (trouble === 'silent') {
    await eventually('it is asked', () => server.asked.length > 0 && server.troubles.length === 0)
    await clock.advance(10_000)
  }
  if (trouble === 'slow') {
    await eventually('it has acted', () => server.held.length === 1)
    await clock.advance(9_999)
    for (const release of server.held) release()
  }
  return verdict
}

test('a provider that is not there is unknown, and one that has ended leaves nothing behind', async () => {
  const { server, reference, env } = await (SUBJECTS.alipay as () => Promise<Subject>)()
  const gateway = await openGatewayOf(env, { clock: new FakeClock() })
  await server.stop()
  expect(await gateway.close(closingOf(reference))).toEqual({ kind: 'unknown', detail: 'no answer (ECONNREFUSED)' })
  await gateway.dispose()
  await gateway.dispose()
  expect((await gateway.close(closingOf(reference))).kind).toBe('unknown')
})

test('a deadline that is none is no reason to reject', async () => {
  const { env, reference } = await (SUBJECTS.http as () => Promise<Subject>)()
  const gateway = await openGatewayOf(env, { clock: new FakeClock(Date.now()) })
  expect(await gateway.close(closingOf(reference, Number.NEGATIVE_INFINITY))).toMatchObject({
    kind: 'unknown',
    isThere: true,
  })
})
