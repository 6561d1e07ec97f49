import { SpanKind, type Telemetry } from 'bullmq'

/** A trace context of another form than W3C's is written as it is, up to so many characters. */
const LONGEST_CONTEXT = 256

/**
 * Does `work` within a span of the shop's trace, and gives it what to write on the jobs, so that their checks can be linked
 * to it. Whatever telemetry does, `work` is done once, and its result is the result.
 *
 * @param telemetry undefined: there are no traces
 */
export function withinProducerSpan<T>(
  telemetry: Telemetry | undefined,
  options: { operation: string; queueName: string },
  work: (traceContext?: string) => Promise<T>,
): Promise<T> {
  if (!telemetry) return work()
  const span = start(telemetry, options)
  const result = work(span?.traceContext)
  if (span) result.then(() => span.end(), span.end)
  return result
}

function start(telemetry: Telemetry, { operation, queueName }: { operation: string; queueName: string }) {
  try {
    const { tracer, contextManager } = telemetry
    const active = contextManager.active()
    const span = tracer.startSpan(`${operation} ${queueName}`, { kind: SpanKind.PRODUCER }, active)
    const written = contextManager.getMetadata(span.setSpanOnContext(active))
    return {
      traceContext: essenceOf(written),
      end(error?: Error) {
        try {
          if (error) span.recordException(error)
          span.end()
        } catch {} // it is no longer our caller's concern
      },
    }
  } catch {
    return undefined
  }
}

/** All that a link needs. What else travels with a trace, such as baggage, may be large and personal, and would wait with the order. */
function essenceOf(written: string): string | undefined {
  try {
    const { traceparent } = JSON.parse(written) as { traceparent?: unknown }
    if (typeof traceparent === 'string' && traceparent.length <= LONGEST_CONTEXT) return JSON.stringify({ traceparent })
  } catch {} // of another form
  return typeof written === 'string' && written.length <= LONGEST_CONTEXT ? written : undefined
}
