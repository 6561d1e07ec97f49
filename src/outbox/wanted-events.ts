import { z } from 'zod'
import { EVENT_TYPES, type EventType, SENT_BY_DEFAULT } from '../order/event-types.ts'
import type { Settings } from '../settings/setting.ts'

/** Comma-separated. */
const types = z.string().transform((text, context): EventType[] =>
  text.split(',').flatMap((part, index) => {
    const type = EVENT_TYPES.find((known) => known === part.trim())
    if (type) return [type]
    context.addIssue(`expected some of ${EVENT_TYPES.join(', ')}; entry ${index + 1} is not`)
    return []
  }),
)

export const WANTED_EVENTS_SETTINGS = {
  EVENTS: { schema: types, default: SENT_BY_DEFAULT.join() },
} as const satisfies Settings

/** Types that no sink is to get. One that is not known here, such as a later version's, is not among them. */
export function unwantedTypes(sent: readonly EventType[]): ReadonlySet<string> {
  return new Set(EVENT_TYPES.filter((type) => !sent.includes(type)))
}
