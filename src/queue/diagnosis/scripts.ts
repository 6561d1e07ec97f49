import type { Queue, RedisQueueBackend } from 'bullmq'
import { type Finding, finding, ok } from '../../doctor/finding.ts'
import { KNOWN_BULLMQ, unknownScripts } from '../worker/fingerprints.ts'

/** Those of the BullMQ that is installed here. */
export async function readUnknownScripts({ queue }: { queue: Queue }): Promise<string[]> {
  return unknownScripts(await (queue.getBackend() as RedisQueueBackend).client)
}

export function lookAtScripts({ scripts }: { scripts: readonly string[] }): Finding {
  if (scripts.length === 0) return ok('queue-scripts', `those of BullMQ are as in ${KNOWN_BULLMQ}`)
  return finding('warning', 'queue-scripts', {
    what: `of the installed BullMQ, ${scripts.join(', ')} ${scripts.length === 1 ? 'is' : 'are'} not known`,
    meaning:
      "A daemon of this installation takes and ends checks by BullMQ's own scripts. A burst takes about 1.5 times as long; nothing else changes.",
    fix: [`npm install bullmq@${KNOWN_BULLMQ}`, '# or compare them, in a clone: npm run fingerprints (docs/redis.md)'],
  })
}
