import type { Given } from './parts.ts'

/** Sends the spans of the daemon to a collector; undefined where none is set. OpenTelemetry is loaded only where it is wanted. */
export async function openTracing({ config, version, events, clock }: Given) {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_HEADERS: headers = {} } = config
  if (endpoint === undefined) return undefined
  const [{ createTraces }, { createTelemetry }] = await Promise.all([
    import('../observe/traces.ts'),
    import('../queue/worker/telemetry.ts'),
  ])
  return {
    traces: createTraces({ endpoint, headers, serviceName: config.OTEL_SERVICE_NAME, version, events, clock }),
    telemetry: createTelemetry(version),
  }
}
