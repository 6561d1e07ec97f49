import { type Span, SpanKind, TelemetryAttributes, type Worker } from 'bullmq'

/** A span for each check from its claim to its end, named and marked as BullMQ's worker does. */
export class CheckSpans {
  readonly #worker: Worker
  readonly #open = new Map<string, { span: Span | undefined; end: () => void }>()

  constructor(worker: Worker) {
    this.#worker = worker
  }

  /** @param job.metadata the trace context of whoever added the job */
  begin(job: { jobId: string; name: string; metadata?: string | undefined; begunAt: number }): void {
    const { jobId, name, metadata, begunAt } = job
    const worker = this.#worker
    const check = (span?: Span) =>
      new Promise<void>((end) => {
        span?.setAttributes({
          [TelemetryAttributes.WorkerId]: worker.id,
          [TelemetryAttributes.JobId]: jobId,
          [TelemetryAttributes.JobName]: name,
          [TelemetryAttributes.JobProcessedTimestamp]: begunAt,
        })
        this.#open.set(jobId, { span, end })
      })
    void worker.trace(SpanKind.CONSUMER, 'process', worker.name, check, metadata)
  }

  completed(id: string, returnvalue: string): void {
    this.#open.get(id)?.span?.addEvent('job completed', { [TelemetryAttributes.JobResult]: returnvalue })
    this.ended(id)
  }

  failed(id: string, reason: string): void {
    this.#open.get(id)?.span?.addEvent('job failed', { [TelemetryAttributes.JobFailedReason]: reason })
    this.ended(id)
  }

  /** The check has come to an end, whichever. */
  ended(id: string): void {
    this.#open.get(id)?.end()
    this.#open.delete(id)
  }
}
