import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { deadlineOf, JOB_NAME, jobIdOf, jobOf, parseJob } from '../../../src/queue/contract.ts'

const NOW = Date.UTC(2030, 0, 1)
const ADDED = NOW - 10_000
/** Not ahead of any clock. */
const PAST = Date.UTC(2020, 0, 1)
const PAYMENT_TIMEOUT_MS = 300_000

const parse = (data: unknown, job: { name?: string; delay?: number | undefined } = {}) =>
  parseJob(
    { name: job.name ?? JOB_NAME, data, timestamp: ADDED, opts: { delay: job.delay } },
    { now: NOW, paymentTimeoutMs: PAYMENT_TIMEOUT_MS },
  )

test('the name of the job is the one that other languages write', () => {
  expect(JOB_NAME).toBe('check-payment')
})

describe('jobIdOf', () => {
  test.each([
    ['1234', 'order-1234'],
    ['a:b:c:d', 'order-a%3Ab%3Ac%3Ad'],
    ['a%3Ab', 'order-a%253Ab'],
    ['50%', 'order-50%25'],
    ['../x', 'order-../x'],
    ["o'; drop table", "order-o'; drop table"],
    ['🛒', 'order-🛒'],
  ])('of %j is %j', (orderId, jobId) => {
    expect(jobIdOf(orderId)).toBe(jobId)
  })

  test('is an id that BullMQ takes: never all digits, never with ":"', () => {
    const orderIds = fc.oneof(fc.string({ minLength: 1 }), fc.stringMatching(/^[0-9:%]+$/))
    fc.assert(
      fc.property(orderIds, (orderId) => {
        expect(jobIdOf(orderId)).toMatch(/^order-[^:]+$/s)
        expect(Number.isNaN(Number(jobIdOf(orderId)))).toBe(true)
      }),
    )
  })

  test('is another one for another order', () => {
    // Of few characters, so that what is encoded meets what looks encoded.
    const tricky = fc.string({ unit: fc.constantFrom('%', ':', '2', '3', '5', 'A', 'a'), minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(fc.array(fc.oneof(tricky, fc.string({ minLength: 1 })), { maxLength: 200 }), (orderIds) => {
        expect(new Set(orderIds.map(jobIdOf)).size).toBe(new Set(orderIds).size)
      }),
    )
  })

  test('can be read back by percent-decoding what is behind the dash', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (orderId) => {
        expect(decodeURIComponent(jobIdOf(orderId).slice('order-'.length))).toBe(orderId)
      }),
    )
  })
})

describe('jobOf', () => {
  test('makes the due time absolute, and carries no policy', () => {
    expect(jobOf({ orderId: 'a:b', deadline: NOW + 500, placedAt: NOW })).toEqual({
      id: 'order-a%3Ab',
      name: 'check-payment',
      data: '{"orderId":"a:b"}',
      timestamp: NOW,
      opts: { delay: 500 },
    })
  })

  test('never asks for a negative delay, which BullMQ would refuse', () => {
    expect(jobOf({ orderId: 'x', deadline: NOW - 500, placedAt: NOW }).opts).toEqual({ delay: 0 })
  })

  // https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/memory-optimization/
  test('has no field that makes Redis give up its compact encoding, also where a sweep adds it', () => {
    const orderId = '0192f5a4-7b1e-7c3d-9f60-2b7a1c5d8e90'
    const { data, opts } = jobOf({ orderId, deadline: NOW + 31_536_000_000, placedAt: NOW, by: 'sweep' })
    for (const field of [data, JSON.stringify(opts)]) expect(Buffer.byteLength(field)).toBeLessThanOrEqual(64)
  })

  test('says the deadline, whenever that is, and keeps one that its delay cannot say', () => {
    const spans = fc.oneof(fc.integer({ min: -1e9, max: 3e10 }), fc.constantFrom(0, 1, -1))
    fc.assert(
      fc.property(fc.integer({ min: PAST - 1e9, max: PAST }), spans, (placedAt, span) => {
        const { name, data, timestamp, opts } = jobOf({ orderId: '1', deadline: placedAt + span, placedAt })
        const job = { name, data: JSON.parse(data), timestamp, opts: { delay: opts.delay } }
        expect(parseJob(job, { now: NOW, paymentTimeoutMs: PAYMENT_TIMEOUT_MS }).deadline).toBe(placedAt + span)
        expect(deadlineOf({ data, timestamp, opts: JSON.stringify(opts) })).toBe(placedAt + span)
        expect(data.includes('deadline')).toBe(span <= 0)
      }),
    )
  })
})

describe('deadlineOf', () => {
  const opts = { delay: 60_000 }
  test.each<[what: string, job: Parameters<typeof deadlineOf>[0], deadline: number | undefined]>([
    ['that of the data first', { data: { deadline: PAST }, timestamp: PAST - 1, opts }, PAST],
    ['that of the data, whatever its options are', { data: { deadline: PAST }, timestamp: PAST - 1, opts: '{' }, PAST],
    ['when it was to run', { data: {}, timestamp: PAST, opts }, PAST + 60_000],
    ['when it was to run, in JSON', { data: '{}', timestamp: PAST, opts: '{"delay":60000}' }, PAST + 60_000],
    ['none where it was to run at once', { data: {}, timestamp: PAST, opts: {} }, undefined],
    ['none where its data is unreadable', { data: '{"deadline":', timestamp: PAST, opts }, undefined],
    ['none where its options are', { data: {}, timestamp: PAST, opts: 'x' }, undefined],
    ['none where it has lost its time', { data: {}, timestamp: Number.NaN, opts }, undefined],
    ['none where there is no job', { data: null, timestamp: 0, opts: null }, undefined],
  ])('is %s', (_, job, deadline) => {
    expect(deadlineOf(job)).toBe(deadline)
  })
})

describe('parseJob takes', () => {
  test.each<[what: string, data: unknown, check: object]>([
    ['epoch milliseconds', { orderId: '1234', deadline: NOW + 5 }, { orderId: '1234', deadline: NOW + 5 }],
    ['ISO 8601', { orderId: '1', deadline: '2030-01-01T01:00:00+01:00' }, { orderId: '1', deadline: NOW }],
    ['a deadline long past', { orderId: '1', deadline: NOW - 1e10 }, { orderId: '1', deadline: NOW - 1e10 }],
    ['an order id that is a number', { orderId: 1234, deadline: NOW }, { orderId: '1234', deadline: NOW }],
    [
      'unknown fields, which it ignores',
      { orderId: '1', deadline: NOW, cart: [1], v: 2 },
      { orderId: '1', deadline: NOW },
    ],
  ])('%s', (_, data, check) => {
    expect(parse(data)).toEqual(check)
  })

  test.each([
    ['none', { orderId: '1' }],
    ['null', { orderId: '1', deadline: null }],
    ['undefined', { orderId: '1', deadline: undefined }],
  ])('the moment at which the producer wanted the job to run for a deadline, when that is %s', (_, data) => {
    expect(parse(data, { delay: 60_000 })).toEqual({ orderId: '1', deadline: ADDED + 60_000 })
    expect(parse(data, { delay: 1 })).toEqual({ orderId: '1', deadline: ADDED + 1 })
  })

  test.each([undefined, 0, -5, Number.NaN])(
    'the default time-out from when the job was added, with a delay of %p',
    (delay) => {
      expect(parse({ orderId: '1' }, { delay })).toEqual({ orderId: '1', deadline: ADDED + PAYMENT_TIMEOUT_MS })
    },
  )
})

describe('parseJob refuses', () => {
  test.each<[what: string, data: unknown, reason: RegExp]>([
    ['no data', undefined, /data: .*object/],
    ['null', null, /data: .*object/],
    ['a string', '1234', /data: .*object/],
    ['a number', 1234, /data: .*object/],
    ['an array', [{ orderId: '1' }], /data: .*object/],
    ['no orderId', { deadline: NOW }, /orderId/],
    ['the empty data of a job whose hash was lost', {}, /orderId/],
    ['an orderId that is null', { orderId: null }, /orderId/],
    ['an orderId that is an object', { orderId: { id: 1 } }, /orderId/],
    ['an orderId that is a boolean', { orderId: true }, /orderId/],
    ['an empty orderId', { orderId: '' }, /orderId: .*empty/],
    ['an orderId that is a fraction', { orderId: 1.5 }, /orderId: .*1\.5/],
    ['an orderId of 201 bytes', { orderId: 'x'.repeat(201) }, /orderId: .*201 bytes/],
    ['an orderId with a control character', { orderId: 'a\nb' }, /orderId: .*control/],
    ['a deadline that is a boolean', { orderId: '1', deadline: true }, /deadline/],
    ['a deadline that is an object', { orderId: '1', deadline: {} }, /deadline/],
    ['a deadline without an offset', { orderId: '1', deadline: '2030-01-01T00:00:00' }, /deadline: .*no offset/],
    ['a deadline in seconds', { orderId: '1', deadline: NOW / 1_000 }, /deadline: .*seconds/],
    ['a deadline over a year ahead', { orderId: '1', deadline: NOW + 400 * 86_400_000 }, /deadline: .*a year/],
    ['a deadline in words', { orderId: '1', deadline: 'soon' }, /deadline: .*soon/],
    ['a time-out for a deadline', { orderId: '1', deadline: '15m' }, /deadline: .*15m/],
  ])('%s, with INVALID_JOB and the reason', (_, data, reason) => {
    expect(() => parse(data)).toThrow(
      expect.objectContaining({ code: 'INVALID_JOB', retryable: false, message: expect.stringMatching(reason) }),
    )
  })

  test.each<[what: string, data: unknown, expected: RegExp]>([
    ['no orderId', { deadline: NOW }, /orderId: expected a string or a whole number, given undefined/],
    ['an orderId that is a boolean', { orderId: true }, /orderId: expected a string or a whole number, given boolean/],
    [
      'a deadline that is an object',
      { orderId: '1', deadline: {} },
      /deadline: expected epoch milliseconds or ISO 8601 with an offset, given object/,
    ],
    [
      'a deadline in words',
      { orderId: '1', deadline: 'soon' },
      /deadline: expected epoch milliseconds or ISO 8601 with an offset, given "soon"/,
    ],
    ['two things at once', { deadline: true }, /orderId: .*; deadline: /],
  ])('%s, saying what was expected and what was given', (_, data, expected) => {
    expect(() => parse(data)).toThrow(expected)
  })

  test.each(['', 'check-payments', 'send-mail', '__default__'])('the job name %j, with UNKNOWN_JOB', (name) => {
    expect(() => parse({ orderId: '1', deadline: NOW }, { name })).toThrow(
      expect.objectContaining({ code: 'UNKNOWN_JOB', retryable: false, message: expect.stringContaining(`"${name}"`) }),
    )
  })

  test('or takes whatever JSON it is given, and throws nothing but our own errors', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.jsonValue(), fc.record({ orderId: fc.jsonValue(), deadline: fc.jsonValue() })),
        (data) => {
          try {
            const { orderId, deadline } = parse(data)
            expect(orderId).not.toBe('')
            expect(Number.isInteger(deadline)).toBe(true)
          } catch (error) {
            expect(error).toMatchObject({ code: 'INVALID_JOB' })
          }
        },
      ),
    )
  })
})
