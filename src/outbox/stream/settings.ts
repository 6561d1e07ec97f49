import { z } from 'zod'
import type { NamedQueue } from '../../redis/keys.ts'
import type { Settings, SettingValues } from '../../settings/setting.ts'

export const settings = {
  EVENT_STREAM: { schema: z.string().regex(/^\S{1,200}$/, 'expected a key of up to 200 characters without spaces') },
} as const satisfies Settings

export type StreamSettings = SettingValues<typeof settings>

export function isChosen({ EVENT_STREAM }: Partial<StreamSettings>): boolean {
  return EVENT_STREAM !== undefined
}

export function contradictions({ EVENT_STREAM: key }: Partial<StreamSettings>, queue: NamedQueue): string[] {
  const isOurs = key?.startsWith(queue.keys.own) || key?.startsWith(queue.keys.job(''))
  return isOurs ? [`EVENT_STREAM: expected no key of the queue ${queue.name}, given ${JSON.stringify(key)}`] : []
}
