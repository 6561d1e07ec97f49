import type { OutboxEvent } from '../order/outbox.ts'

export const CLOUD_EVENT_TYPE = 'application/cloudevents+json; charset=utf-8'

/** An event as CloudEvents 1.0 has it, to be written as JSON. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md */
export function cloudEvent({ id, type, orderId, at, data }: OutboxEvent, source: string): object {
  return {
    specversion: '1.0',
    id,
    source,
    type,
    ...(orderId && { subject: orderId }),
    time: new Date(at).toISOString(),
    datacontenttype: 'application/json',
    data: { ...(orderId && { orderId }), ...data, ...timesOf(data) },
  }
}

/** Each store has a way of its own to write a time. */
function timesOf(data: OutboxEvent['data']): Record<string, string> {
  const known = ['at', 'deadline', 'paidAt', 'cancelledAt'].flatMap((name) => {
    const time = data[name]
    const date = new Date(typeof time === 'number' || typeof time === 'string' ? time : Number.NaN)
    return Number.isNaN(date.getTime()) ? [] : [[name, date.toISOString()]]
  })
  return Object.fromEntries(known)
}
