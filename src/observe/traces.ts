import { hostname } from 'node:os'
import { DiagLogLevel, diag } from '@opentelemetry/api'
import { setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import type { Clock } from '../runtime/clock.ts'
import type { Service } from '../runtime/service.ts'
import { withTimeout } from '../runtime/timeout.ts'
import type { EventBus } from './events.ts'

/** For one batch of spans: a slower collector loses spans, and holds up nothing. */
const EXPORT_TIMEOUT_MS = 3_000
const STOP_WITHIN_MS = 2_000

/**
 * Sends the process's spans to an OpenTelemetry collector (`endpoint`, without `/v1/traces`), over OTLP/HTTP in JSON, with
 * W3C Trace Context. OpenTelemetry itself reads its variables for sampling, batching and attributes of the process:
 * https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
 */
export function createTraces(options: {
  endpoint: string
  headers: Record<string, string>
  serviceName: string | undefined
  version: string
  events: EventBus
  clock: Clock
}): Service {
  const { endpoint, headers, serviceName, version, events, clock } = options
  const instance = `${hostname()}:${process.pid}`
  const ours = { 'service.name': 'order-expiry', 'service.version': version, 'service.instance.id': instance }
  const resource = defaultResource()
    .merge(resourceFromAttributes(ours))
    .merge(detectResources({ detectors: [envDetector] }))
    .merge(serviceName === undefined ? null : resourceFromAttributes({ 'service.name': serviceName }))
  const onError = (error: Error) => events.emit('traces-error', { error })
  let provider: NodeTracerProvider | undefined
  return {
    name: 'traces',
    async start() {
      setGlobalErrorHandler((error) => onError(error instanceof Error ? error : new Error(String(error))))
      const tell = (message: string) => onError(new Error(message))
      diag.setLogger({ error: tell, warn: tell, info() {}, debug() {}, verbose() {} }, { logLevel: DiagLogLevel.WARN })
      const url = `${endpoint.replace(/\/$/, '')}/v1/traces`
      const exporter = new OTLPTraceExporter({ url, headers, timeoutMillis: EXPORT_TIMEOUT_MS })
      const processor = new BatchSpanProcessor(exporter, { exportTimeoutMillis: EXPORT_TIMEOUT_MS })
      provider = new NodeTracerProvider({ resource, spanProcessors: [processor] })
      provider.register({ propagator: new W3CTraceContextPropagator() }) // a caller's baggage is none of our business
      events.emit('service-started', { service: 'traces', detail: new URL(url).origin })
    },
    async stop() {
      const onTimeout = () => new Error(`not all spans were sent within ${STOP_WITHIN_MS} ms`)
      const work = provider?.shutdown() ?? Promise.resolve()
      await withTimeout({ work, ms: STOP_WITHIN_MS, clock, onTimeout }).catch(onError)
    },
  }
}
