import { describe, expect, test } from '@jest/globals'
import { type Clock, systemClock } from '../../../src/runtime/clock.ts'
import { AlipayServer, failure } from '../../helpers/alipay-server.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'
import { openGatewayOf, startProvider } from '../../helpers/open-gateway.ts'
import { closingOf } from '../../helpers/provider-server.ts'
import { base64Of, pemOf, rsaPair } from '../../helpers/rsa-pair.ts'

async function open(env: Record<string, string> = {}, clock: Clock = systemClock) {
  const alipay = await startProvider(AlipayServer)
  alipay.trades.set('A-1', 'WAIT_BUYER_PAY')
  const gateway = await openGatewayOf({ ...alipay.env, ...env }, { clock })
  return { alipay, close: (number = 'A-1') => gateway.close(closingOf(number)) }
}

const DEADLINE = Date.UTC(2030, 0, 1)

describe('a trade', () => {
  // https://opendocs.alipay.com/open/028woa
  test.each([
    ['WAIT_BUYER_PAY', 'closed', ['A-1']],
    ['TRADE_CLOSED', 'closed', []],
    ['TRADE_SUCCESS', 'paid', []],
    ['TRADE_FINISHED', 'paid', []],
    ['TRADE_OF_LATER', 'unknown', []],
    ['constructor', 'unknown', []],
  ])('that is %s is %s', async (status, kind, closed) => {
    const { alipay, close } = await open()
    alipay.trades.set('A-1', status)
    expect(await close()).toMatchObject({ kind })
    expect(alipay.closed).toEqual(closed)
  })

  test('that is paid between being read and being closed is paid', async () => {
    const { alipay, close } = await open()
    alipay.meanwhile = () => alipay.trades.set('A-1', 'TRADE_SUCCESS')
    expect(await close()).toEqual({ kind: 'paid', detail: 'trade_status TRADE_SUCCESS' })
  })

  test('of another number is none', async () => {
    const { alipay, close } = await open()
    alipay.answers['alipay.trade.query'] = [{ code: '10000', out_trade_no: 'A-2', trade_status: 'TRADE_CLOSED' }]
    expect(await close()).toEqual({ kind: 'unknown', isThere: true, detail: 'answered with another trade' })
  })

  test('is closed by its number whatever characters it has; nothing but query and close is called', async () => {
    const { alipay, close } = await open()
    const number = '订单 1&x=1+2%20"'
    alipay.trades.set(number, 'WAIT_BUYER_PAY')
    expect((await close(number)).kind).toBe('closed')
    expect(alipay.methods).toEqual(['alipay.trade.query', 'alipay.trade.close'])
  })
})

describe('a trade that does not exist', () => {
  const at = (ms: number, timeExpire: string) => open({ ALIPAY_TIME_EXPIRE: timeExpire }, new FakeClock(DEADLINE + ms))

  test.each([
    [0, '0', { kind: 'closing', retryAfterMs: 5_000 }],
    [4_999, '0', { kind: 'closing', retryAfterMs: 1 }],
    [5_000, '0', { kind: 'closed' }],
    [5_000, '2m', { kind: 'closing', retryAfterMs: 120_000 }],
    [125_000, '2m', { kind: 'closed' }],
    [5_000, 'off', { kind: 'cannot-close' }],
    [86_400_000, 'off', { kind: 'cannot-close' }],
  ])('%i ms after the deadline, with ALIPAY_TIME_EXPIRE=%s, is %j', async (ms, timeExpire, verdict) => {
    const { alipay, close } = await at(ms, timeExpire)
    expect(await close('A-2')).toMatchObject(verdict)
    expect(alipay.methods).toEqual(['alipay.trade.query'])
  })

  test('any more when it is to be closed is read once more', async () => {
    const { alipay, close } = await at(5_000, '0')
    alipay.meanwhile = () => alipay.trades.delete('A-1')
    expect((await close()).kind).toBe('closed')
  })
})

describe('an error', () => {
  // https://opendocs.alipay.com/open/028woa and …/ce0b4954_alipay.trade.close: what each method may answer beside the public codes
  test.each([
    ['ACQ.INVALID_PARAMETER', true],
    ['ACQ.SYSTEM_ERROR', false],
    ['ACQ.OF_LATER', true],
  ])('of alipay.trade.query, %s, is unknown; it blames the trade: %s', async (sub, isThere) => {
    const { alipay, close } = await open()
    alipay.answers['alipay.trade.query'] = [failure(sub)]
    expect(await close()).toEqual({ kind: 'unknown', isThere, detail: `answered 40004 ${sub}` })
  })

  test.each([
    'ACQ.INVALID_PARAMETER',
    'ACQ.REASON_ILLEGAL_STATUS',
    'ACQ.REASON_TRADE_STATUS_INVALID',
    'ACQ.TRADE_NOT_EXIST',
    'ACQ.TRADE_STATUS_ERROR',
    'ACQ.OF_LATER',
  ])('of alipay.trade.close, %s, leads to another look', async (sub) => {
    const { alipay, close } = await open()
    alipay.answers['alipay.trade.close'] = [failure(sub)]
    const detail = `closing was refused: answered 40004 ${sub}; it is still trade_status WAIT_BUYER_PAY`
    expect(await close()).toEqual({ kind: 'unknown', isThere: true, detail })
    expect(alipay.methods).toEqual(['alipay.trade.query', 'alipay.trade.close', 'alipay.trade.query'])
  })

  test.each([
    ['ACQ.SYSTEM_ERROR', '40004'],
    ['isp.unknow-error', '20000'],
    ['aop.unknow-error', '20000'],
    ['isv.insufficient-isv-permissions', '40006'],
    ['isv.invalid-app-id', '40002'],
  ])('of Alipay itself, or of our access, %s, does not', async (sub, code) => {
    const { alipay, close } = await open()
    alipay.answers['alipay.trade.close'] = [{ ...failure(sub), code }]
    expect(await close()).toEqual({ kind: 'unknown', isThere: false, detail: `answered ${code} ${sub}` })
  })

  test('about our signature is told', async () => {
    const { close } = await open({ ALIPAY_PRIVATE_KEY: pemOf(rsaPair().privateKey) })
    expect(await close()).toEqual({ kind: 'unknown', isThere: false, detail: 'answered 40002 isv.invalid-signature' })
  })
})

describe('an answer', () => {
  test.each<[string, (alipay: AlipayServer) => void]>([
    [
      'signed with another key',
      (alipay) => {
        alipay.keys = rsaPair()
      },
    ],
    [
      'without a signature',
      (alipay) => {
        alipay.write = (member, json) => `{"${member}":${json}}`
      },
    ],
    [
      'changed after it was signed',
      (alipay) => {
        alipay.trades.set('A-1', 'TRADE_FINISHED')
        alipay.write = (member, json, sign) => `{"${member}":${json.replace('FINISHED', 'CLOSED')},"sign":"${sign}"}`
      },
    ],
    [
      'with a signed text in another place',
      (alipay) => {
        const fake = '{"code":"10000","out_trade_no":"A-1","trade_status":"TRADE_CLOSED"}'
        alipay.write = (member, json, sign) => `{"was":{"${member}":${json}},"${member}":${fake},"sign":"${sign}"}`
      },
    ],
  ])('%s is none, but not because of this payment', async (_, spoil) => {
    const { alipay, close } = await open()
    spoil(alipay)
    const detail = expect.stringMatching(/^answered 10000, without a signature of ALIPAY_PUBLIC_KEY$/)
    expect(await close()).toEqual({ kind: 'unknown', detail })
    expect(alipay.closed).toEqual([])
  })

  test.each<[string, (alipay: AlipayServer) => void]>([
    [
      'with spaces and line breaks',
      (alipay) => {
        alipay.json = (answer) => JSON.stringify(answer, null, 2)
        alipay.write = (member, json, sign) => `\n{ "${member}" : ${json} ,\n "sign" : "${sign}" }`
      },
    ],
    [
      'with the signature in front, beside other members',
      (alipay) => {
        alipay.write = (member, json, sign) =>
          `{"sign":"${sign}","alipay_cert_sn":"{\\"","n":[{}],"${member}":${json},"x":null}`
      },
    ],
    [
      'with braces, quotes and other scripts in its texts',
      (alipay) => {
        alipay.json = (answer) => JSON.stringify({ ...answer, store_name: '证大"}{[五道口店\\', of: { deep: ['}'] } })
      },
    ],
    [
      'whose slashes were escaped after it was signed',
      (alipay) => {
        alipay.json = (answer) => JSON.stringify({ ...answer, url: 'https://a/b' })
        alipay.write = (member, json, sign) => `{"${member}":${json.replaceAll('/', '\\/')},"sign":"${sign}"}`
      },
    ],
  ])('%s is verified as it was written', async (_, write) => {
    const { alipay, close } = await open()
    write(alipay)
    expect((await close()).kind).toBe('closed')
  })

  test.each(['[]', '"a"', 'null', '{}', '{"alipay_trade_query_response":"x","sign":"y"}'])(
    '%s is none',
    async (text) => {
      const { alipay, close } = await open()
      alipay.write = () => text
      expect((await close()).kind).toBe('unknown')
    },
  )
})

test('while a public key is replaced, either is accepted; keys are read in each form in which they are handed out', async () => {
  const { alipay } = await open()
  const next = rsaPair()
  const { privateKey } = alipay.appKeys
  const [old, later] = [alipay.keys.publicKey, next.publicKey]
  for (const [ours, theirs] of [
    [pemOf(privateKey), `${pemOf(old)}${pemOf(later)}`],
    [base64Of(privateKey, 'pkcs8'), `${base64Of(old, 'spki')},${base64Of(later, 'spki')}`],
    [base64Of(privateKey, 'pkcs1'), `${pemOf(old)}${pemOf(later)}`.replaceAll('\n', '\\n')],
  ] as const) {
    const env = { ...alipay.env, ALIPAY_PRIVATE_KEY: ours, ALIPAY_PUBLIC_KEY: theirs }
    const gateway = await openGatewayOf(env, { clock: systemClock })
    for (const keys of [alipay.keys, next]) {
      alipay.keys = keys
      alipay.trades.set('A-1', 'WAIT_BUYER_PAY')
      expect((await gateway.close(closingOf('A-1'))).kind).toBe('closed')
    }
  }
})

test('the request has the time of China', async () => {
  const { alipay, close } = await open({}, new FakeClock(Date.UTC(2029, 11, 31, 23, 59, 59)))
  await close()
  expect(new URL(alipay.asked[0]?.path ?? '', alipay.url).searchParams.get('timestamp')).toBe('2030-01-01 07:59:59')
})

test.each<[Record<string, string>, string[]]>([
  [{ ALIPAY_APP_ID: '' }, ['ALIPAY_APP_ID: expected with PAYMENT_GATEWAY=alipay']],
  [{ ALIPAY_PRIVATE_KEY: '' }, ['ALIPAY_PRIVATE_KEY: expected with']],
  [{ ALIPAY_PRIVATE_KEY: 'hunter2' }, ['ALIPAY_PRIVATE_KEY: expected a private RSA key']],
  [{ ALIPAY_PRIVATE_KEY: pemOf(rsaPair().publicKey) }, ['ALIPAY_PRIVATE_KEY: expected a private RSA key']],
  [{ ALIPAY_PUBLIC_KEY: 'hunter2' }, ['ALIPAY_PUBLIC_KEY: expected public RSA keys']],
  [{ ALIPAY_PUBLIC_KEY: pemOf(rsaPair().privateKey) }, ['ALIPAY_PUBLIC_KEY: expected public RSA keys']],
  [{ ALIPAY_API_URL: 'http://1.1.1.1' }, ['ALIPAY_API_URL: expected https://']],
  [{ ALIPAY_API_URL: 'https://a.example/gateway.do?x=1' }, ['ALIPAY_API_URL: expected https://host[:port]/gateway.do']],
  [
    { ALIPAY_PUBLIC_KEY: `${pemOf(rsaPair().publicKey)}${pemOf(rsaPair().publicKey).slice(0, -40)}` },
    ['ALIPAY_PUBLIC_KEY: expected public RSA keys'],
  ],
])('settings that are missing or wrong prevent the start, without a word of a key', async (env, expected) => {
  const alipay = await startProvider(AlipayServer)
  const error = await openGatewayOf({ ...alipay.env, ...env }, { clock: systemClock }).catch((thrown) => thrown)
  for (const problem of expected) expect(error.message).toContain(problem)
  expect(error.message).not.toMatch(/hunter2|BEGIN/)
})
