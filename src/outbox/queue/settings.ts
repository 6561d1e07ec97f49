import type { NamedQueue } from '../../redis/keys.ts'
import type { Settings, SettingValues } from '../../settings/setting.ts'
import { queueName } from '../../settings/values.ts'

export const settings = { EVENT_QUEUE: { schema: queueName } } as const satisfies Settings

export type QueueSettings = SettingValues<typeof settings>

export function isChosen({ EVENT_QUEUE }: Partial<QueueSettings>): boolean {
  return EVENT_QUEUE !== undefined
}

export function contradictions({ EVENT_QUEUE: name }: Partial<QueueSettings>, queue: NamedQueue): string[] {
  const isOurs = name !== undefined && name === queue.name
  return isOurs ? [`EVENT_QUEUE: expected another queue than QUEUE_NAME, given ${JSON.stringify(name)}`] : []
}
