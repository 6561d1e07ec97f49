import type { Settings, SettingValues } from '../settings/setting.ts'
import type { Sink, SinkOptions } from './sink.ts'
import * as webhook from './webhook/settings.ts'

/** The kinds of sinks: what can be known of each before its code is loaded. A new one is a folder, and an entry here. */
const KINDS = {
  webhook: { ...webhook, load: async () => (await import('./webhook/webhook.ts')).openWebhook },
} as const

export const SINK_SETTINGS = { ...webhook.settings } as const satisfies Settings
type SinkSettings = SettingValues<typeof SINK_SETTINGS>

/** The names of the sinks that the settings ask for. */
export function chosenSinks(settings: Partial<SinkSettings>): (keyof typeof KINDS)[] {
  return (Object.keys(KINDS) as (keyof typeof KINDS)[]).filter((name) => KINDS[name].isChosen(settings))
}

/** What is wrong with several settings together. Those that are wrong alone are not given. */
export function sinkContradictions(settings: Partial<SinkSettings>): string[] {
  return Object.values(KINDS).flatMap(({ contradictions }) => contradictions(settings))
}

/** Nothing is sent, or connected, yet. */
export async function openSink(name: keyof typeof KINDS, settings: SinkSettings, options: SinkOptions): Promise<Sink> {
  return (await KINDS[name].load())(settings, options)
}
