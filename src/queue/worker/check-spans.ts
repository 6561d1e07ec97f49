import { type Span, SpanKind, TelemetryAttributes, type Worker } from 'bullmq'
import type { OrderExpiryError } from '../../errors.ts'

/** A span for each check from its claim to its end, named and marked as BullMQ's worker does. */
export class CheckSpans {
  readonly #worker: Worker
  readonly #open = new Map<string, { span: Span | undefined; end: () => void }>()

  constructor(worker: Worker) {
    this.#worker = worker
  }

  /** @param job.metadata the trace context of whoever added the job */
  begin(job: {
    jobId: string
    name: string
    metadata?: string | undefined
    begunAt: number
    /** How often it has failed before. */
    failed: number
  }): void {
    const { jobId, name, metadata, begunAt, failed } = job
    const worker = this.#worker
    this.end(jobId) // of a check whose lock was lost
    const check = (span?: Span) =>
      new Promise<void>((end) => {
        span?.setAttributes({
          [TelemetryAttributes.WorkerId]: worker.id,
          [TelemetryAttributes.JobId]: jobId,
          [TelemetryAttributes.JobName]: name,
          [TelemetryAttributes.JobProcessedTimestamp]: begunAt,
          [TelemetryAttributes.JobAttemptsMade]: failed + 1,
        })
        this.#open.set(jobId, { span, end })
      })
    void worker.trace(SpanKind.CONSUMER, 'process', worker.name, check, metadata)
  }

  completed(id: string, returnvalue: string): void {
    this.#note(id, 'job completed', { [TelemetryAttributes.JobResult]: returnvalue })
  }

  postponed(id: string, why: string): void {
    this.#note(id, 'job delayed', { 'order_expiry.why': why })
  }

  failed(id: string, error: OrderExpiryError): void {
    this.#note(id, 'job failed', { [TelemetryAttributes.JobFailedReason]: `${error.code}: ${error.message}` })
    this.#open.get(id)?.span?.recordException(error)
  }

  end(id: string): void {
    this.#open.get(id)?.end()
    this.#open.delete(id)
  }

  #note(id: string, name: string, attributes: Record<string, string>): void {
    this.#open.get(id)?.span?.addEvent(name, attributes)
  }
}
