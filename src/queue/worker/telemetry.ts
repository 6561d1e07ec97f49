import {
  type Context,
  createContextKey,
  INVALID_SPAN_CONTEXT,
  isSpanContextValid,
  context as otelContext,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { suppressTracing } from '@opentelemetry/core'
import type { Telemetry } from 'bullmq'
import { BullMQOTelSpan, BullMQOtel } from 'bullmq-otel'

const TRACER = 'order-expiry'
/** The key in a context of the span within which the job was added. */
const ADDED_WITHIN = createContextKey('order-expiry: added within')

/**
 * BullMQ's telemetry, with the spans that operators look for:
 *
 * - A check is a trace of its own, with a link to the span within which its job was added. BullMQ would make it a child of that
 *   span, and stretch the shop's trace to the payment deadline. (https://opentelemetry.io/docs/specs/semconv/messaging/)
 * - What the worker does on its own, such as looking for work each second, is not traced.
 * - A job whose trace context cannot be read is checked anyway. BullMQ would throw before it begins the job, and never
 *   end it.
 *
 * The spans go to whatever provider is registered with `@opentelemetry/api`.
 *
 * @param version of this package
 */
export function createTelemetry(version: string): Telemetry<Context> {
  const tracer = trace.getTracer(TRACER, version)
  const { contextManager } = new BullMQOtel({ tracerName: TRACER, version })
  const read = contextManager.fromMetadata.bind(contextManager)
  return {
    tracer: {
      startSpan: (name, options, context) =>
        new TelemetrySpan(startSpan({ tracer, name, kind: options?.kind, given: context })),
    },
    contextManager: Object.assign(contextManager, {
      root: () => ROOT_CONTEXT, // for BullMQ's loops
      fromMetadata(_active: Context, metadata: string) {
        try {
          const addedWithin = trace.getSpanContext(read(ROOT_CONTEXT, metadata))
          return addedWithin ? ROOT_CONTEXT.setValue(ADDED_WITHIN, addedWithin) : ROOT_CONTEXT
        } catch {
          return ROOT_CONTEXT
        }
      },
    }),
  }
}

/** @param wanted.given only this context can come from the job. Default: the active one */
function startSpan(wanted: { tracer: Tracer; name: string; kind: SpanKind | undefined; given: Context | undefined }) {
  const { tracer, name, kind = SpanKind.INTERNAL, given } = wanted
  const context = given ?? otelContext.active()
  // A suppressed span is in its context too, but without a valid span context.
  const isTraced = isSpanContextValid(trace.getSpanContext(context) ?? INVALID_SPAN_CONTEXT)
  if (kind === SpanKind.INTERNAL && !isTraced) return tracer.startSpan(name, {}, suppressTracing(context))
  if (kind !== SpanKind.CONSUMER) return tracer.startSpan(name, { kind }, context)
  const addedWithin = given?.getValue(ADDED_WITHIN) as SpanContext | undefined
  return tracer.startSpan(name, { kind, root: true, links: addedWithin ? [{ context: addedWithin }] : [] }, context)
}

/** One that an exception marks as failed, for whoever looks for those: OpenTelemetry does so only where it is asked to. */
class TelemetrySpan extends BullMQOTelSpan {
  override recordException(...exception: Parameters<BullMQOTelSpan['recordException']>): void {
    super.recordException(...exception)
    this.span.setStatus({ code: SpanStatusCode.ERROR })
  }
}
