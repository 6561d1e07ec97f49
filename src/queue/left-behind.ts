import type { Job } from 'bullmq'

/** BullMQ's last one: whatever else is due comes first, also where a producer gives its jobs a priority. */
export const LEFT_BEHIND_PRIORITY = 2 ** 21 - 1

/** The job comes when its deadline says, as if its order had never been left behind: it has a new deadline. */
export async function forgetLeftBehind(job: Job): Promise<void> {
  if (job.priority === LEFT_BEHIND_PRIORITY) await job.changePriority({ priority: job.opts.priority ?? 0 })
}
