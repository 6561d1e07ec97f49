import type { ExplainSources } from '../../explain/story.ts'
import { type CheckFacts, replaceFreeTexts } from '../../queue/view/check-facts.ts'
import { MASKED, maskReason } from '../board/mask.ts'

/** The same, without what other programs' workers wrote freely on a job: as on the board, only operators see that. */
export function forViewers(sources: ExplainSources): ExplainSources {
  const { cancelledStatus, clockOffsets, sinks, dryRun, clock } = sources
  return {
    cancelledStatus,
    clockOffsets,
    sinks,
    dryRun,
    clock,
    get store() {
      return sources.store
    },
    get view() {
      const { view } = sources
      return {
        recordsOf: async (asked: Parameters<typeof view.recordsOf>[0]) => masked(await view.recordsOf(asked)),
        lookFor: async (asked: Parameters<typeof view.lookFor>[0]) => masked(await view.lookFor(asked)),
        holds: () => view.holds(),
      }
    },
  }
}

function masked<Records extends { checks: CheckFacts[] }>(records: Records): Records {
  return replaceFreeTexts(records, { reason: maskReason, note: ({ code, what }) => (code === 'NOTE' ? MASKED : what) })
}
