import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, test } from '@jest/globals'
import type { Telemetry } from 'bullmq'
import { startProducerSpan } from '../../../src/queue/producer-span.ts'

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const fail = () => {
  throw new Error('telemetry is broken')
}

/** Telemetry that writes `metadata`, with what became of its spans. */
function createTelemetry(metadata: unknown, broken: { startSpan?: true; end?: true; active?: true } = {}) {
  const spans: string[] = []
  const telemetry = {
    tracer: {
      startSpan: (name: string) => {
        if (broken.startSpan) fail()
        spans.push(`started ${name}`)
        return {
          setSpanOnContext: () => ({}),
          recordException: (error: Error) => spans.push(`failed: ${error.message}`),
          end: () => (broken.end ? fail() : spans.push('ended')),
        }
      },
    },
    contextManager: { active: () => (broken.active ? fail() : {}), getMetadata: () => metadata },
  }
  return { telemetry: telemetry as unknown as Telemetry, spans }
}
const start = (telemetry?: Telemetry) => startProducerSpan('add', { telemetry, queueName: 'q' })

describe('what is written on the jobs', () => {
  test.each([
    [
      'is what a link needs',
      JSON.stringify({ traceparent: TRACEPARENT }),
      JSON.stringify({ traceparent: TRACEPARENT }),
    ],
    [
      'is no baggage',
      JSON.stringify({ traceparent: TRACEPARENT, tracestate: 'a=b', baggage: 'buyer=ann' }),
      JSON.stringify({ traceparent: TRACEPARENT }),
    ],
    ['is another form as it is', 'b3: 1-2-3', 'b3: 1-2-3'],
    ['is nothing where it would be large', 'x'.repeat(257), undefined],
    ['is nothing where there is none', undefined, undefined],
  ])('%s', (_what, metadata, expected) => {
    const { telemetry } = createTelemetry(metadata)
    expect(start(telemetry)?.traceContext).toBe(expected)
  })

  test('is nothing without telemetry', () => {
    expect(start()).toBeUndefined()
  })
})

describe('the span', () => {
  test('ends with the work', async () => {
    const { telemetry, spans } = createTelemetry('{}')
    start(telemetry)?.endWith(Promise.resolve())
    expect(spans).toEqual(['started add q'])
    await nextTurn()
    expect(spans).toEqual(['started add q', 'ended'])
  })

  test('tells why the work has failed', async () => {
    const { telemetry, spans } = createTelemetry('{}')
    start(telemetry)?.endWith(Promise.reject(new Error('away')))
    await nextTurn()
    expect(spans).toEqual(['started add q', 'failed: away', 'ended'])
  })
})

test.each([{ startSpan: true }, { end: true }, { active: true }] as const)(
  'telemetry that is broken (%j) does not throw',
  async (broken) => {
    const { telemetry } = createTelemetry('{}', broken)
    const span = start(telemetry)
    expect(span === undefined).toBe(!('end' in broken))
    for (const work of [Promise.resolve(), Promise.reject(new Error('away'))]) {
      await Promise.allSettled([work])
      span?.endWith(work)
    }
    await nextTurn()
  },
)
