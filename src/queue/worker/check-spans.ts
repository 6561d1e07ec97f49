import { type Span, SpanKind, TelemetryAttributes, type Worker } from 'bullmq'
import type { OrderExpiryError } from '../../errors.ts'
import { JOB_NAME } from '../contract.ts'
import { optionsOf } from './claimed-job.ts'
import type { ClaimedJob } from './claims.ts'

/** A span for each check from its claim to its end, named and marked as BullMQ's worker does. */
export class CheckSpans {
  readonly #worker: Worker
  readonly #open = new Map<string, { span: Span | undefined; end: () => void }>()

  constructor(worker: Worker) {
    this.#worker = worker
  }

  /** Linked to whatever added the job. */
  begin(job: ClaimedJob, begunAt: number): void {
    const { id, fields } = job
    const worker = this.#worker
    this.end(id) // of a check whose lock was lost
    const check = (span?: Span) =>
      new Promise<void>((end) => {
        span?.setAttributes({
          [TelemetryAttributes.WorkerId]: worker.id,
          [TelemetryAttributes.JobId]: id,
          [TelemetryAttributes.JobName]: fields?.name ?? JOB_NAME,
          [TelemetryAttributes.JobProcessedTimestamp]: begunAt,
          [TelemetryAttributes.JobAttemptsMade]: 1 + (Number(fields?.atm) || 0),
        })
        this.#open.set(id, { span, end })
      })
    void worker.trace(SpanKind.CONSUMER, 'process', worker.name, check, optionsOf(job).tm)
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
