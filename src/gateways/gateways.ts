import { z } from 'zod'
import { errorCode } from '../observe/events.ts'
import type { PaymentGateway } from '../order/payment-gateway.ts'
import type { Settings, SettingValues } from '../settings/setting.ts'
import { duration, integer, orZero, trueOrFalse } from '../settings/values.ts'
import * as alipay from './alipay/settings.ts'
import type { GatewayOptions } from './gateway-options.ts'
import * as http from './http/settings.ts'
import * as stripe from './stripe/settings.ts'
import * as wechat from './wechat/settings.ts'

/** The kinds of gateways: what can be known of each before its code is loaded. A new one is a folder, and an entry here. */
const KINDS = {
  stripe: { ...stripe, load: async () => (await import('./stripe/stripe.ts')).openStripe },
  alipay: { ...alipay, load: async () => (await import('./alipay/alipay.ts')).openAlipay },
  wechat: { ...wechat, load: async () => (await import('./wechat/wechat.ts')).openWechat },
  http: { ...http, load: async () => (await import('./http/http.ts')).openHttp },
} as const

type GatewayName = keyof typeof KINDS
const CHOICES = ['none', ...(Object.keys(KINDS) as GatewayName[])] as const

export const GATEWAY_SETTINGS = {
  PAYMENT_GATEWAY: { schema: z.enum(CHOICES, `expected one of ${CHOICES.join(', ')}`), default: 'none' },
  PAYMENT_GRACE: { schema: orZero(duration(1_000, 30 * 86_400_000)), default: '15m' },
  PAYMENT_RATE: { schema: integer(1, 100_000), default: '25' },
  AUTHORISED: { schema: z.enum(['paid', 'void'], 'expected paid or void'), default: 'paid' },
  CAPTURE_CHECKS_ORDER: { schema: trueOrFalse, default: 'false' },
  ...http.settings,
  ...stripe.settings,
  ...alipay.settings,
  ...wechat.settings,
} as const satisfies Settings
type GatewaySettings = SettingValues<typeof GATEWAY_SETTINGS>

/** The gateway that the settings ask for; undefined: none. */
export function chosenGateway({ PAYMENT_GATEWAY: choice }: Pick<GatewaySettings, 'PAYMENT_GATEWAY'>) {
  return choice === 'none' ? undefined : choice
}

/** The settings of the gateways that are not chosen: in a file that is shared with a shop, they may be another program's. */
export function settingsOfOthers(choice: string | undefined): ReadonlySet<string> {
  const others = Object.entries(KINDS).filter(([name]) => name !== choice)
  return new Set(others.flatMap(([, { settings }]) => Object.keys(settings)))
}

/** What is missing or wrong for the gateway that is chosen. Settings of the others may be another program's. */
export function gatewayContradictions(settings: Partial<GatewaySettings>): string[] {
  const { PAYMENT_GATEWAY: choice } = settings
  return choice === undefined || choice === 'none' ? [] : KINDS[choice].contradictions(settings)
}

/**
 * Nothing is sent, or connected, yet.
 *
 * @throws {OrderExpiryError} INVALID_SETTINGS: it cannot be opened with these
 */
export async function openGateway(
  name: GatewayName,
  settings: GatewaySettings,
  options: GatewayOptions,
): Promise<PaymentGateway> {
  const gateway = await (await KINDS[name].load())(settings, options)
  return {
    name: gateway.name,
    close: (closing) => gateway.close(closing).catch(unexpected),
    dispose: () => gateway.dispose().catch(() => {}),
  }
}

/** Whatever is wrong with one payment holds up no other. */
function unexpected(error: unknown) {
  return { kind: 'unknown', isThere: true, detail: `UNEXPECTED (${errorCode(error as Error)})` } as const
}
