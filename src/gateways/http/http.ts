import { z } from 'zod'
import { OrderExpiryError } from '../../errors.ts'
import type { Closing, PaymentGateway, Verdict } from '../../order/payment-gateway.ts'
import { readJson } from '../../runtime/json.ts'
import { parseSecret, signedHeaders } from '../../signing/standard-webhooks.ts'
import type { GatewayOptions } from '../gateway-options.ts'
import { Provider, shorten } from '../provider.ts'
import type { HttpSettings } from './settings.ts'

const MOST_RETRY_SECONDS = 86_400

const answer = z.object({
  verdict: z.enum(['closed', 'paid', 'authorised', 'in-flight', 'closing', 'cannot-close']),
  retryAfter: z.number().min(0).max(MOST_RETRY_SECONDS).optional(),
  detail: z.string().optional(),
})

/**
 * Asks a service of the shop's to close the payment, by a POST that is signed as Standard Webhooks has it, under the idempotency key as
 * its id. Only a 2xx with one of the verdicts is one.
 */
export function openHttp(settings: HttpSettings, options: GatewayOptions): PaymentGateway {
  const { PAYMENT_URL, PAYMENT_SECRET = [] } = settings
  if (PAYMENT_URL === undefined) throw new OrderExpiryError('INVALID_SETTINGS', 'PAYMENT_URL: expected, given none')
  const url = new URL(PAYMENT_URL)
  const path = `${url.pathname}${url.search}`
  const keys = PAYMENT_SECRET.flatMap((secret) => parseSecret(secret) ?? [])
  const service = new Provider(url, options)

  async function close(closing: Closing): Promise<Verdict> {
    const body = bodyOf(closing)
    const signed = signedHeaders({ id: closing.idempotencyKey, at: options.clock.now(), body }, keys)
    const headers = { 'content-type': 'application/json', ...signed }
    const answered = await service.ask({ method: 'POST', path, headers, body })
    if ('kind' in answered) return answered
    if (answered.status < 200 || answered.status >= 300) return service.unknown(answered)
    return verdictIn(answered.text)
  }

  return { name: 'http', close, dispose: () => service.close() }
}

function bodyOf({ orderId, payment, deadline, idempotencyKey }: Closing): string {
  const { reference, method, amount } = payment
  const at = new Date(deadline).toISOString()
  return JSON.stringify({ orderId, payment: reference, method, amount, deadline: at, idempotencyKey })
}

function verdictIn(text: string): Verdict {
  const { data, error } = answer.safeParse(readJson(text))
  if (error) {
    const [issue] = error.issues
    return {
      kind: 'unknown',
      isThere: true,
      detail: shorten(`no verdict: ${issue?.path.join('.')}: ${issue?.message}`),
    }
  }
  const { verdict: kind, retryAfter, detail } = data
  const said = detail === undefined ? undefined : shorten(detail)
  const retryAfterMs = retryAfter === undefined ? undefined : retryAfter * 1_000
  if (kind === 'in-flight' || kind === 'closing') return { kind, retryAfterMs, detail: said }
  return { kind, detail: said }
}
