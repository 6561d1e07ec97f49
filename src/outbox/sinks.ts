import type { NamedQueue } from '../redis/keys.ts'
import type { Settings, SettingValues } from '../settings/setting.ts'
import * as queue from './queue/settings.ts'
import type { Sink, SinkOptions } from './sink.ts'
import * as stream from './stream/settings.ts'
import * as webhook from './webhook/settings.ts'

/** The kinds of sinks: what can be known of each before its code is loaded. A new one is a folder, and an entry here. */
const KINDS = {
  webhook: { ...webhook, load: async () => (await import('./webhook/webhook.ts')).openWebhook },
  stream: { ...stream, load: async () => (await import('./stream/stream.ts')).openStream },
  queue: { ...queue, load: async () => (await import('./queue/queue.ts')).openQueueOfShop },
} as const

export const SINK_SETTINGS = { ...webhook.settings, ...stream.settings, ...queue.settings } as const satisfies Settings
type SinkSettings = SettingValues<typeof SINK_SETTINGS>

export type SinkName = keyof typeof KINDS
export const SINK_NAMES = Object.keys(KINDS) as [SinkName, ...SinkName[]]

/** The names of the sinks that the settings ask for. */
export function chosenSinks(settings: Partial<SinkSettings>): SinkName[] {
  return SINK_NAMES.filter((name) => KINDS[name].isChosen(settings))
}

/**
 * What is wrong with several settings together. Those that are wrong alone are not given.
 *
 * @param own the daemon's queue
 */
export function sinkContradictions(settings: Partial<SinkSettings>, own: NamedQueue): string[] {
  return Object.values(KINDS).flatMap(({ contradictions }) => contradictions(settings, own))
}

/** Nothing is sent, or connected, yet. */
export async function openSink(name: SinkName, settings: SinkSettings, options: SinkOptions): Promise<Sink> {
  return (await KINDS[name].load())(settings, options)
}
