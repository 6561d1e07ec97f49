import type { Job } from 'bullmq'

/** BullMQ's last one: whatever else is due comes first, also where a producer gives its jobs a priority. */
export const LEFT_BEHIND_PRIORITY = 2 ** 21 - 1

/** Whether the order of this job was left behind, locked or rejected, when it was last looked at. */
export function wasLeftBehind(job: Job): boolean {
  return job.priority === LEFT_BEHIND_PRIORITY
}

/** The job comes when its deadline says, as if its order had never been left behind: it has a new deadline. */
export async function forgetLeftBehind(job: Job): Promise<void> {
  if (wasLeftBehind(job)) await job.changePriority({ priority: priorityOf(job) })
}

/** The priority that its producer gave it; 0, which most have, comes first. */
export function priorityOf(job: Job): number {
  return job.opts.priority ?? 0
}
