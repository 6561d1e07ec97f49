import { SpanKind, type Telemetry } from 'bullmq'

/** A trace context of another form than W3C's is written as it is, up to this many characters. */
const LONGEST_CONTEXT = 256

/**
 * Begins a span of the shop's trace around work on jobs. Whatever telemetry does, it never throws.
 *
 * @returns what to write on the jobs, so that their checks can be linked to the span, and what ends it with the work, telling
 *   why that has failed; undefined without telemetry, or where it is broken
 */
export function startProducerSpan(
  operation: 'add' | 'addBulk',
  { telemetry, queueName }: { telemetry: Telemetry | undefined; queueName: string },
) {
  if (!telemetry) return undefined
  try {
    const { tracer, contextManager } = telemetry
    const active = contextManager.active()
    const span = tracer.startSpan(`${operation} ${queueName}`, { kind: SpanKind.PRODUCER }, active)
    const traceContext = essenceOf(contextManager.getMetadata(span.setSpanOnContext(active)))
    const end = (error?: Error) => {
      try {
        if (error) span.recordException(error)
        span.end()
      } catch {} // no concern of our caller's
    }
    return { traceContext, endWith: (work: Promise<unknown>) => void work.then(() => end(), end) }
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
