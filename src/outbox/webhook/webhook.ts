import { OrderExpiryError } from '../../errors.ts'
import { errorCode } from '../../observe/events.ts'
import type { OutboxEvent } from '../../order/outbox.ts'
import { startTimer } from '../../runtime/clock.ts'
import { Origin, retryAfterMs } from '../../runtime/origin.ts'
import { lookUpPublic } from '../../runtime/public-addresses.ts'
import { parseSecret, signedHeaders } from '../../signing/standard-webhooks.ts'
import { CLOUD_EVENT_TYPE, cloudEvent } from '../cloud-event.ts'
import type { Delivery, Sink, SinkOptions } from '../sink.ts'
import type { WebhookSettings } from './settings.ts'

const CONNECTIONS = 64
/** From the first attempt to connect to the head of the answer. Standard Webhooks recommends 15 to 30 s. */
const ANSWER_TIMEOUT_MS = 20_000
/** Of the answer's body, which means nothing: a receiver that goes on sending it must not keep the connection. */
const MOST_BODY_BYTES = 65_536
const BODY_TIMEOUT_MS = 1_000

/**
 * Posts each event as a CloudEvent in JSON, signed as Standard Webhooks has it. A receiver has got it when it answers with 2xx; 410
 * means that it wants no more. Redirects are not followed: they would lead where nobody has said that events may go.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function openWebhook(settings: WebhookSettings, { source, version, clock }: SinkOptions): Sink {
  const { WEBHOOK_URL, WEBHOOK_SECRET = [], WEBHOOK_ALLOW_PRIVATE: allowPrivate } = settings
  if (WEBHOOK_URL === undefined) throw new OrderExpiryError('INVALID_SETTINGS', 'WEBHOOK_URL: expected, given none')
  const url = new URL(WEBHOOK_URL)
  const keys = WEBHOOK_SECRET.flatMap((secret) => parseSecret(secret) ?? [])
  const lookup = allowPrivate ? undefined : lookUpPublic
  const receiver = new Origin({ url, connections: CONNECTIONS, lookup, clock })
  const path = `${url.pathname}${url.search}`
  const constant = { 'content-type': CLOUD_EVENT_TYPE, 'user-agent': `order-expiry/${version}` }

  async function deliver(event: OutboxEvent): Promise<Delivery> {
    try {
      const body = JSON.stringify(cloudEvent(event, source))
      const headers = { ...constant, ...signedHeaders({ id: event.id, at: clock.now(), body }, keys) }
      const answer = await receiver.head({ method: 'POST', path, headers, body }, ANSWER_TIMEOUT_MS)
      const stop = startTimer(BODY_TIMEOUT_MS, () => answer.body.destroy())
      void answer.body
        .dump({ limit: MOST_BODY_BYTES })
        .catch(() => {})
        .finally(stop)
      return judge(answer.statusCode, retryAfterMs(answer.headers, clock.now()))
    } catch (error) {
      return { kind: 'failed', why: `no answer (${errorCode(error as Error)})` }
    }
  }

  return { name: 'webhook', concurrency: CONNECTIONS, deliver, close: () => receiver.close() }
}

function judge(status: number, retryAfterMs: number | undefined): Delivery {
  if (status >= 200 && status < 300) return { kind: 'delivered' }
  if (status === 410) return { kind: 'gone', why: 'the receiver answers 410 Gone' }
  const why = status >= 300 && status < 400 ? `redirected (${status}), which is not followed` : `answered ${status}`
  const isThere = status < 500 && status !== 408 && status !== 429
  return { kind: 'failed', why, isThere, retryAfterMs }
}
