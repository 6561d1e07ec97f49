import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createRedactor } from '../../../src/observe/redact.ts'

const SECRETS = ['hunter2', 'hunter2hunter3', 'a "quoted" one', 'abc', '$&$1', 'pa"ss\\word']
const redactor = createRedactor({ secrets: SECRETS })

describe('a text', () => {
  test.each([
    ['a secret', 'no user shop:hunter2 at db', 'no user shop:[redacted] at db'],
    ['one that is there twice', 'hunter2 hunter2', '[redacted] [redacted]'],
    ['one that begins with another', 'hunter2hunter3', '[redacted]'],
    ['one within JSON', JSON.stringify({ echo: 'it is a "quoted" one' }), '{"echo":"it is [redacted]"}'],
    ['one that means something to replace()', 'it is $&$1.', 'it is [redacted].'],
    ['a password in any URL', 'to postgres://shop:s3cr3t@db/shop', 'to postgres://shop:[redacted]@db/shop'],
    ['a password without a user', 'to redis://:s3cr3t@redis', 'to redis://:[redacted]@redis'],
    ['a password that begins like our hints', 'redis://u:password@x@redis', 'redis://u:[redacted]@redis'],
    ['a password with an @ in it', 'to redis://u:s3c@r3t@redis:6379/1', 'to redis://u:[redacted]@redis:6379/1'],
  ])('loses %s', (_what, text, expected) => {
    expect(redactor.text(text)).toBe(expected)
  })

  test.each([
    'https://shop.example.com:8080/a?b=c@d http://[::1]:3000 order 12:34@56 "x"',
    'abcd', // three characters are in other words
    'http://127.0.0.1:3000',
    'expected redis://[user:password@]host[:port][/db], rediss://… or unix:///path',
    'expected postgres://user:password@host:5432/database, or write rediss://:password@host:6380',
  ])('without one stays as it is: %s', (text) => {
    expect(redactor.text(text)).toBe(text)
  })

  test.each(['redis', 'rediss', 'postgres', 'postgresql', 'valkey', 'user', 'password', 'host', 'database'])(
    'that is a hint stays whole where the password is %s, which is hidden in a URL alone',
    (password) => {
      const { text } = createRedactor({ secrets: [password] })
      const hint =
        'write rediss://user:password@host:6380 in REDIS_URL, or postgresql://user:password@host:5432/database'
      expect(text(hint)).toBe(hint)
      if (password === 'password') return
      expect(text(`to postgres://shop:${password}@db/shop`)).toBe('to postgres://shop:[redacted]@db/shop')
    },
  )

  test('that is long is cut, and takes no time', () => {
    expect(redactor.text('x'.repeat(2_000))).toHaveLength(2_000)
    expect(redactor.text('x'.repeat(2_001))).toBe(`${'x'.repeat(2_000)}…`)
    const since = performance.now()
    for (const part of ['A', 'a.', '://', 'a://b:', 'a://b:c@', 'a:']) redactor.text(part.repeat(1_000_000))
    const whole = createRedactor({ secrets: SECRETS, longest: Number.POSITIVE_INFINITY })
    for (const part of ['A', 'a.', 'a:']) whole.text(part.repeat(200_000))
    expect(performance.now() - since).toBeLessThan(5_000) // without a bound it is minutes
  })
})

describe('a value', () => {
  test('loses secrets in all its texts, and in fields that are named like one', () => {
    const at = new Date(0)
    expect(
      redactor.value({
        n: 1,
        no: null,
        at,
        hunter2: 'hunter2',
        list: ['hunter2', 2],
        config: { password: 'x', host: 'db' },
      }),
    ).toEqual({
      n: 1,
      no: null,
      at,
      hunter2: '[redacted]',
      list: ['[redacted]', 2],
      config: { password: '[redacted]', host: 'db' },
    })
  })

  test.each(['password', 'token', 'authorization', 'cookie', 'secret', 'connectionString'])('such as %s', (name) => {
    expect(redactor.value({ [name]: 's3cr3t' })).toEqual({ [name]: '[redacted]' })
  })

  test('that is an error keeps what can be said of it', () => {
    const error = Object.assign(new TypeError('hunter2'), { code: 'EFAULT', config: { url: 'redis://:pw@h' } })
    expect(redactor.value({ error })).toEqual({
      error: { type: 'TypeError', code: 'EFAULT', message: '[redacted]', stack: expect.stringContaining('[redacted]') },
    })
  })

  test('that contains itself has an end', () => {
    const loop: Record<string, unknown> = {}
    loop.self = loop
    expect(JSON.stringify(redactor.value(loop))).toContain('…')
  })
})

test('whatever the secret and wherever it is, it is not in what comes out', () => {
  const secret = fc
    .string({ minLength: 4, maxLength: 40, unit: 'grapheme' })
    .filter((text) => !'[redacted]'.includes(text))
  fc.assert(
    fc.property(secret, fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (hidden, before, after) => {
      const { value } = createRedactor({ secrets: [hidden] })
      const seen = JSON.stringify(value({ text: `${before} ${hidden} ${after}` }))
      expect((JSON.parse(seen) as { text: string }).text).not.toContain(` ${hidden} `)
    }),
  )
})
