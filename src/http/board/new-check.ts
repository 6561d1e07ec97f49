import { z } from 'zod'
import { OrderExpiryError } from '../../errors.ts'
import { JOB_NAME, type JobData, jobIdOf, parseJob } from '../../queue/contract.ts'

/** What the board's form sends where no name is typed. */
const NO_NAME = ['', '__default__']

const added = z.object({
  name: z.string().default(''),
  data: z.unknown().optional(),
  options: z.object({ delay: z.number().nullish() }).nullish(),
})

/**
 * The check that an operator wants to add, as the board's route takes it: the contract's fields and nothing else, under the
 * id of the order's check. The deadline is that of the data, or `delay` from now, or the time-out.
 *
 * @throws {OrderExpiryError} INVALID_REQUEST, UNKNOWN_JOB, INVALID_JOB
 */
export function newCheckOf(options: { body: unknown; by: string; now: number; paymentTimeoutMs: number }) {
  const { body, by, now, paymentTimeoutMs } = options
  const { data: wanted, error } = added.safeParse(body)
  if (error) {
    const problems = error.issues.map(({ path, message }) => `${path.join('.') || 'body'}: ${message}`)
    throw new OrderExpiryError('INVALID_REQUEST', problems.join('; '))
  }
  const name = NO_NAME.includes(wanted.name) ? JOB_NAME : wanted.name
  const job = { name, data: wanted.data, timestamp: now, opts: { delay: wanted.options?.delay ?? undefined } }
  const { orderId, deadline } = parseJob(job, { now, paymentTimeoutMs })
  const data: JobData = { orderId, deadline, by }
  return { name: JOB_NAME, data, options: { jobId: jobIdOf(orderId), delay: Math.max(0, deadline - now) } }
}
