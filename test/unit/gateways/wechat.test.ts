import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { closing } from '../../helpers/closing.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { openGatewayOf, startProvider } from '../../helpers/open-gateway.ts'
import { closingOf } from '../../helpers/provider-server.ts'
import { pemOf, rsaPair } from '../../helpers/rsa-pair.ts'
import { WechatServer, wechatError } from '../../helpers/wechat-server.ts'

const DEADLINE = Date.UTC(2030, 0, 1)

async function open(env: Record<string, string> = {}, clock = new FakeClock()) {
  const wechat = await startProvider(WechatServer)
  wechat.now = () => clock.now()
  wechat.orders.set('A-1', 'NOTPAY')
  const gateway = await openGatewayOf({ ...wechat.env, ...env }, { clock })
  return { wechat, close: (number = 'A-1') => gateway.close(closingOf(number)) }
}

// https://pay.weixin.qq.com/doc/v3/merchant/4013070356
const STATES: [state: string, kind: string][] = [
  ['SUCCESS', 'paid'],
  ['REFUND', 'paid'],
  ['NOTPAY', 'closed'],
  ['CLOSED', 'closed'],
  ['REVOKED', 'closed'],
  ['USERPAYING', 'in-flight'],
  ['ACCEPT', 'in-flight'],
  ['PAYERROR', 'closed'],
  ['OF_LATER', 'unknown'],
  ['constructor', 'unknown'],
]
const IS_CLOSED_BY_US = ['NOTPAY', 'PAYERROR']

describe('an order', () => {
  test.each(STATES)('that is %s is %s', async (state, kind) => {
    const { wechat, close } = await open()
    wechat.orders.set('A-1', state)
    expect(await close()).toMatchObject({ kind })
    expect(wechat.closed).toEqual(IS_CLOSED_BY_US.includes(state) ? ['A-1'] : [])
  })

  test('that is paid between being read and being closed is paid', async () => {
    const { wechat, close } = await open()
    wechat.meanwhile = () => wechat.orders.set('A-1', 'SUCCESS')
    expect(await close()).toEqual({ kind: 'paid', detail: 'trade_state SUCCESS' })
  })

  test('that somebody else closes meanwhile is closed', async () => {
    const { wechat, close } = await open()
    wechat.meanwhile = () => wechat.orders.set('A-1', 'CLOSED')
    expect((await close()).kind).toBe('closed')
  })

  test.each(['{}', '[]', '{"out_trade_no":"A-2","trade_state":"CLOSED"}', '{"out_trade_no":"A-1"}'])(
    'is not what %s is about',
    async (body) => {
      const { wechat, close } = await open()
      wechat.answers.GET.push({ status: 200, body })
      expect(await close()).toMatchObject({
        kind: 'unknown',
        isThere: true,
        detail: expect.stringContaining('without the state of this order'),
      })
    },
  )

  test.each(['a|b*c', 'a/../b', 'a?x=1#y'])('is asked for under its number %j and no other', async (number) => {
    const { wechat, close } = await open()
    wechat.orders.set(number, 'NOTPAY')
    expect((await close(number)).kind).toBe('closed')
    expect(wechat.closed).toEqual([number])
  })
})

describe('a combined order', () => {
  const partsOf = (...states: string[]) =>
    states.map((trade_state, n) => ({
      mchid: `190000010${n}`,
      out_trade_no: `A-${n}`,
      sub_mchid: `s-${n}`,
      trade_state,
      attach: 'x',
    }))

  test.each<[states: string[], kind: string]>([
    ...STATES.map(([state, kind]): [string[], string] => [[state], kind]),
    [['NOTPAY', 'NOTPAY'], 'closed'],
    [['NOTPAY', 'CLOSED'], 'closed'],
    [['CLOSED', 'CLOSED'], 'closed'],
    [['NOTPAY', 'SUCCESS'], 'paid'],
    [['CLOSED', 'REFUND'], 'paid'],
    [['NOTPAY', 'USERPAYING'], 'in-flight'],
    [['USERPAYING', 'SUCCESS'], 'paid'],
    [['CLOSED', 'OF_LATER'], 'unknown'],
    [[], 'unknown'],
  ])('whose parts are %j is %s, and closed as a whole', async (states, kind) => {
    const { wechat, close } = await open()
    wechat.combined.set('C-1', partsOf(...states))
    expect(await close('combine:C-1')).toMatchObject({ kind })
    const isClosedByUs = kind === 'closed' && states.some((state) => IS_CLOSED_BY_US.includes(state))
    expect(wechat.closed).toEqual(isClosedByUs ? ['C-1'] : [])
  })

  test.each(['C-2', 'A-1'])('is not what an answer about %s is about', async (number) => {
    const { wechat, close } = await open()
    const said = { combine_out_trade_no: number, combine_appid: 'x', sub_orders: partsOf('CLOSED') }
    wechat.answers.GET.push({ status: 200, body: JSON.stringify(said) })
    expect((await close('combine:C-1')).kind).toBe('unknown')
  })

  test('that is paid meanwhile is paid', async () => {
    const { wechat, close } = await open()
    wechat.combined.set('C-1', partsOf('NOTPAY', 'NOTPAY'))
    wechat.meanwhile = () => wechat.combined.set('C-1', partsOf('SUCCESS', 'SUCCESS'))
    expect((await close('combine:C-1')).kind).toBe('paid')
  })
})

describe('an order that does not exist', () => {
  test.each([
    [4_999, '0', { kind: 'closing', retryAfterMs: 1 }],
    [5_000, '0', { kind: 'closed' }],
    [5_000, '2m', { kind: 'closing', retryAfterMs: 120_000 }],
    [86_400_000, 'off', { kind: 'cannot-close' }],
  ])('%i ms after the deadline, with WECHAT_TIME_EXPIRE=%s, is %j', async (ms, timeExpire, verdict) => {
    for (const number of ['A-2', 'combine:C-2']) {
      const { close } = await open({ WECHAT_TIME_EXPIRE: timeExpire }, new FakeClock(DEADLINE + ms))
      expect(await close(number)).toMatchObject(verdict)
    }
  })

  test.each(['ORDER_NOT_EXIST', 'ORDERNOTEXIST', 'RESOURCE_NOT_EXISTS'])('is told by %s', async (code) => {
    const { wechat, close } = await open()
    wechat.answers.GET.push(wechatError(404, code))
    expect((await close()).kind).toBe('cannot-close')
  })

  test('is not what another 404 says', async () => {
    const { wechat, close } = await open()
    wechat.answers.GET.push(wechatError(404, 'NOT_FOUND'))
    expect(await close()).toMatchObject({ kind: 'unknown', isThere: true, detail: 'answered 404 (NOT_FOUND)' })
  })
})

describe('an error', () => {
  const ERRORS: [status: number, code: string, isThere: boolean][] = [
    [400, 'PARAM_ERROR', true],
    [400, 'INVALID_REQUEST', true],
    [400, 'MCH_NOT_EXISTS', true],
    [401, 'SIGN_ERROR', false],
    [403, 'NO_AUTH', false],
    [403, 'RULE_LIMIT', false],
    [429, 'FREQUENCY_LIMITED', false],
    [429, 'FREQUENCY_LIMIT_EXCEED', false],
    [500, 'SYSTEM_ERROR', false],
    [500, 'BANK_ERROR', false],
  ]

  test.each(ERRORS)('of a read, %i %s, is unknown; it blames the order: %s', async (status, code, isThere) => {
    const { wechat, close } = await open()
    wechat.answers.GET.push(wechatError(status, code))
    expect(await close()).toMatchObject({ kind: 'unknown', isThere, detail: `answered ${status} (${code})` })
  })

  test.each([
    ...ERRORS.map(([status, code]) => [status, code] as const),
    [400, 'ORDER_CLOSED'] as const,
    [400, 'ORDERPAID'] as const,
    [404, 'ORDER_NOT_EXIST'] as const,
    [403, 'TRADE_ERROR'] as const,
    [202, 'USERPAYING'] as const,
  ])('of closing, %i %s, leads to another look unless WeChat Pay is in trouble', async (status, code) => {
    const { wechat, close } = await open()
    wechat.answers.POST.push(wechatError(status, code))
    expect((await close()).kind).toBe('unknown')
    expect(wechat.asked.map(({ method }) => method)).toEqual(
      status < 500 && status !== 429 ? ['GET', 'POST', 'GET'] : ['GET', 'POST'],
    )
    expect((await close()).kind).toBe('closed')
  })
})

describe('an answer', () => {
  test.each<[string, (wechat: WechatServer) => void]>([
    [
      'signed with another key',
      (wechat) => {
        wechat.keys = rsaPair()
      },
    ],
    [
      'under the id of another key',
      (wechat) => {
        wechat.keyId = 'PUB_KEY_ID_9'
      },
    ],
    [
      'from more than five minutes ago',
      (wechat) => {
        wechat.age = 301
      },
    ],
    [
      'from more than five minutes ahead',
      (wechat) => {
        wechat.age = -301
      },
    ],
    [
      'with a signature of something else, as WeChat Pay sends now and then to see who looks',
      (wechat) => {
        wechat.answers.GET.push({
          status: 200,
          headers: { 'wechatpay-signature': 'WECHATPAY/SIGNTEST/AAAA' },
          body: '{"out_trade_no":"A-1","trade_state":"CLOSED"}',
        })
      },
    ],
    [
      'without a time',
      (wechat) => {
        wechat.time = 'now'
      },
    ],
  ])('%s is none, but not because of this payment', async (_, spoil) => {
    const { wechat, close } = await open()
    spoil(wechat)
    const detail = 'answered 200, without a signature of WECHAT_PLATFORM_KEY'
    expect(await close()).toEqual({ kind: 'unknown', detail })
    expect(wechat.closed).toEqual([])
  })

  test('that the order does not exist counts only with a signature', async () => {
    const { wechat, close } = await open({ WECHAT_TIME_EXPIRE: '0' }, new FakeClock(DEADLINE + 60_000))
    wechat.keys = rsaPair()
    expect(await close('A-2')).toMatchObject({ kind: 'unknown', detail: 'answered 404' })
  })
})

test('while a platform certificate is replaced, by another or by a public key, each is accepted', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'order-expiry-wechat-'))
  closing.push(() => rmSync(dir, { recursive: true }))
  const certificates = [rsaPair(), rsaPair()].map((keys, n) => {
    const [key, crt] = [join(dir, `${n}.key`), join(dir, `${n}.crt`)]
    writeFileSync(key, pemOf(keys.privateKey))
    execFileSync('openssl', ['req', '-x509', '-key', key, '-out', crt, '-days', '2', '-subj', `/CN=${n}`], {
      stdio: 'pipe',
    })
    const pem = readFileSync(crt, 'utf8')
    return { keys, pem, id: new X509Certificate(pem).serialNumber }
  })
  const { wechat } = await open()
  const key = { keys: wechat.keys, id: wechat.keyId, pem: `${wechat.keyId}\n${pemOf(wechat.keys.publicKey)}` }
  const all = [...certificates, key]
  const file = join(dir, 'platform.pem')
  writeFileSync(file, all.map(({ pem }) => pem).join('\n'))
  const { WECHAT_PLATFORM_KEY: _, ...env } = wechat.env
  const gateway = await openGatewayOf({ ...env, WECHAT_PLATFORM_KEY_FILE: file }, { clock: new FakeClock() })
  for (const { keys, id } of all) {
    Object.assign(wechat, { keys, keyId: id })
    wechat.orders.set('A-1', 'NOTPAY')
    expect(await gateway.close(closingOf('A-1'))).toMatchObject({ kind: 'closed' })
  }
  expect(wechat.asked[0]?.headers['wechatpay-serial']).toBe(all[0]?.id)
})

test.each<[Record<string, string>, string]>([
  [{ WECHAT_MCHID: '' }, 'WECHAT_MCHID: expected with PAYMENT_GATEWAY=wechat'],
  [{ WECHAT_SERIAL_NO: '' }, 'WECHAT_SERIAL_NO: expected with'],
  [{ WECHAT_PRIVATE_KEY: 'hunter2' }, 'WECHAT_PRIVATE_KEY: expected a private RSA key'],
  [{ WECHAT_PLATFORM_KEY: pemOf(rsaPair().publicKey) }, 'each behind its id: PUB_KEY_ID_'],
  [{ WECHAT_PLATFORM_KEY: 'hunter2' }, 'WECHAT_PLATFORM_KEY: expected certificates in PEM'],
  [{ WECHAT_API_URL: 'ftp://x' }, 'WECHAT_API_URL: expected https://'],
  [{ WECHAT_API_URL: 'https://proxy.example/wechat' }, 'WECHAT_API_URL: expected https://host[:port], and nothing'],
])('settings that are missing or wrong prevent the start, without a word of a key: %#', async (env, expected) => {
  const wechat = await startProvider(WechatServer)
  const error = await openGatewayOf({ ...wechat.env, ...env }, { clock: new FakeClock() }).catch((thrown) => thrown)
  expect(error.message).toContain(expected)
  expect(error.message).not.toMatch(/hunter2|BEGIN/)
})
