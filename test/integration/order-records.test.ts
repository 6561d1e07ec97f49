import { expect, test } from '@jest/globals'
import { EventBus } from '../../src/observe/events.ts'
import type { Settlement } from '../../src/order/settle.ts'
import { ForeignJobs } from '../../src/queue/foreign-jobs.ts'
import { createRetention } from '../../src/queue/retention.ts'
import { SweepNotes } from '../../src/queue/sweep-notes.ts'
import { QueueView } from '../../src/queue/view/queue-view.ts'
import { Connection } from '../../src/redis/connection.ts'
import { namedQueue } from '../../src/redis/keys.ts'
import { commandProfile } from '../../src/redis/profiles.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { closing } from '../helpers/closing.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { quickClock } from '../helpers/quick-clock.ts'
import { RawQueue } from '../helpers/raw-queue.ts'
import { TcpProxy } from '../helpers/tcp-proxy.ts'

const HOUR = 3_600_000
const MOST_KEPT = 20_000
const clock = systemClock

function open(url = redisUrl()) {
  const raw = new RawQueue()
  const queue = namedQueue({ name: raw.name })
  const connection = new Connection({ address: url, profile: commandProfile(url, 2_000) })
  const errors: Error[] = []
  const options = { connection, queue, onError: (error: Error) => errors.push(error), clock }
  const notes = new SweepNotes({ ...options, by: 'host:1' })
  const jobs = new ForeignJobs(options)
  closing.push(
    () => raw.close(),
    () => connection.close(),
    () => notes.stop(),
    () => jobs.stop(),
  )
  return { raw, queue, keys: queue.keys, connection, notes, jobs, errors, view: new QueueView({ connection, queue }) }
}

const evidence = (decidedAt: number) => ({ decidedAt, status: 'pending', deadline: decidedAt - 6_000 })
const cancelled = (at = clock.now()): Settlement => ({ kind: 'cancelled', at, evidence: evidence(at) })
const locked = (at = clock.now()): Settlement => ({
  kind: 'postponed',
  until: at + 300,
  reason: 'locked',
  evidence: evidence(at),
})
const checksOf = (ids: readonly string[]) => ids.map((orderId) => ({ orderId, deadline: 1 }))
const numbered = (count: number) => Array.from({ length: count }, (_, n) => `o-${n}`)

test('what a sweep did is the evidence of a check: an obstacle once, until it changes, then the decision', async () => {
  const { notes, view, keys, raw } = open()
  const at = clock.now()
  for (const settlement of [locked(), locked(), cancelled(at)]) notes.note(checksOf(['a']), [settlement])
  await notes.stop()
  expect((await view.recordsOf({ orderId: 'a' })).swept).toEqual([
    { why: 'locked', at: expect.any(String), by: 'host:1' },
    {
      outcome: 'cancelled',
      status: 'pending',
      deadline: new Date(at - 6_000).toISOString(),
      decidedAt: new Date(at).toISOString(),
      decidedBy: 'host:1',
    },
  ])
  expect(await raw.redis.zcard(keys.sweptAt)).toBe(1)
})

test('what says nothing of the order is not noted: it is not due, or the store does not work', async () => {
  const { notes, view } = open()
  const notDue: Settlement = { kind: 'postponed', until: 9, reason: 'not-due', evidence: evidence(1) }
  notes.note(checksOf(['a', 'b']), [notDue, { kind: 'missing', evidence: evidence(1) }])
  notes.note(checksOf(['c']), [cancelled()])
  await notes.stop()
  const swept = async (orderId: string) => (await view.recordsOf({ orderId })).swept.length
  expect(await Promise.all(['a', 'b', 'c'].map(swept))).toEqual([0, 0, 1])
})

test('what was noted while Redis was away is written when it is back, the newest of it', async () => {
  const proxy = await TcpProxy.to(redisUrl())
  closing.push(() => proxy.close())
  const { notes, errors, raw, keys } = open(proxy.urlOf(redisUrl()))
  proxy.cut()
  const ids = numbered(MOST_KEPT + 300)
  notes.note(
    checksOf(ids),
    ids.map(() => cancelled()),
  )
  await eventually('it has failed', () => errors.length > 0)
  expect(errors).toEqual([expect.objectContaining({ code: 'REDIS_UNAVAILABLE' })])
  proxy.heal()
  await eventually('they are written', async () => (await raw.redis.hlen(keys.swept)) === MOST_KEPT)
  expect(await raw.redis.hmget(keys.swept, 'o-299', 'o-300', 'o-20299')).toEqual([
    null,
    expect.stringContaining('cancelled'),
    expect.stringContaining('cancelled'),
  ])
})

test('as many orders have notes as finished checks are kept, however many one sweep settles', async () => {
  const { notes, raw, keys } = open()
  for (let part = 0; part < 3; part++) {
    const ids = numbered(9_000).map((id) => `${part}-${id}`)
    notes.note(
      checksOf(ids),
      ids.map(() => cancelled(part)),
    )
    await eventually('they are written', async () => (await raw.redis.hexists(keys.swept, `${part}-o-8999`)) === 1)
  }
  await notes.stop()
  expect([await raw.redis.hlen(keys.swept), await raw.redis.zcard(keys.sweptAt)]).toEqual([MOST_KEPT, MOST_KEPT])
})

test('notes go when finished checks of their age go, and jobs of other ids are forgotten when they are gone', async () => {
  const { notes, jobs, raw, queue, keys, connection } = open()
  const job = await raw.queue.add('check-payment', { orderId: 'a' }, { delay: HOUR })
  jobs.note({ jobId: job.id as string, data: { orderId: 'a' } })
  jobs.note({ jobId: 'gone', data: { orderId: 'b' } })
  notes.note(checksOf(['a']), [cancelled()])
  await Promise.all([notes.stop(), jobs.stop()])
  expect([await raw.redis.hlen(keys.foreignJobs), await raw.redis.hlen(keys.swept)]).toEqual([2, 1])
  const none = { ageMs: 0, count: 9 }
  const options = { connection, queue, keep: { completed: none, failed: none }, events: new EventBus() }
  const retention = createRetention({ ...options, clock: quickClock(1_000) })
  closing.push(() => retention.stop())
  await retention.start(new AbortController().signal)
  await eventually('the notes are gone', async () => (await raw.redis.exists(keys.swept, keys.sweptAt)) === 0)
  await eventually('the job is forgotten', async () => (await raw.redis.hlen(keys.foreignJobs)) === 1)
  expect(await raw.redis.hkeys(keys.foreignJobs)).toEqual(['a'])
})

test('one round forgets all orders whose jobs are gone, however many there are', async () => {
  const { raw, queue, keys, connection } = open()
  const { id } = await raw.queue.add('check-payment', { orderId: 'kept' }, { delay: HOUR })
  const gone = numbered(5_000).map((orderId) => [orderId, '"gone"'])
  await raw.redis.hset(keys.foreignJobs, { ...Object.fromEntries(gone), kept: JSON.stringify(id) })
  let pauses = 0
  const quick = quickClock(1_000)
  const onceRound = {
    ...quick,
    sleep: (ms: number, signal?: AbortSignal) =>
      ms > 10_000 && ++pauses > 1 ? clock.sleep(HOUR, signal) : quick.sleep(ms, signal),
  }
  const retention = createRetention({ connection, queue, events: new EventBus(), clock: onceRound })
  closing.push(() => retention.stop())
  await retention.start(new AbortController().signal)
  await eventually('the round is over', () => pauses > 1)
  expect(await raw.redis.hgetall(keys.foreignJobs)).toEqual({ kept: JSON.stringify(id) })
  expect(await raw.redis.exists(keys.retention)).toBe(0)
})

test('a job of another id that a worker has seen is found; one of our own id needs no mark', async () => {
  const { jobs, view, raw, keys } = open()
  const ids = await Promise.all(
    [0, 1].map(async () => (await raw.queue.add('check-payment', { orderId: 7 }, { delay: HOUR })).id as string),
  )
  for (const jobId of ids) jobs.note({ jobId, data: { orderId: 7 } })
  jobs.note({ jobId: 'order-8', data: { orderId: '8' } })
  jobs.note({ jobId: '9', data: null })
  await jobs.stop()
  const { checks } = await view.recordsOf({ orderId: '7' })
  expect(checks.map(({ jobId }) => jobId)).toEqual(ids)
  expect(await raw.redis.hkeys(keys.foreignJobs)).toEqual(['7'])
})

test('a job that no worker has seen is found near its deadline among any number, or else it says where it looked', async () => {
  const { view, raw } = open()
  const at = clock.now() + HOUR
  const jobs = Array.from({ length: 3_000 }, (_, n) => ({
    name: 'check-payment',
    data: { orderId: `o-${n}`, deadline: at + n * 100 },
    opts: { jobId: `till-${n}`, delay: HOUR + n * 100, timestamp: at - HOUR },
  }))
  await raw.queue.addBulk(jobs)
  const found = await view.lookFor({ orderId: 'o-2000', deadline: at + 200_000 })
  expect(found?.checks.map(({ jobId }) => jobId)).toEqual(['till-2000'])
  expect(await view.findCheck({ orderId: 'o-2000', order: { deadline: at + 200_000, isUnpaid: true } })).toMatchObject({
    jobId: 'till-2000',
    state: 'waiting',
  })
  const { checks, looked } = (await view.lookFor({ orderId: 'o-2000' })) ?? {}
  expect([checks, looked]).toEqual([[], { jobs: 250, of: 3_000 }])
})

test('a job due at the deadline of its order is found among any number that are due in the seconds around it', async () => {
  const { view, raw } = open()
  const at = clock.now() + HOUR
  const jobs = Array.from({ length: 4_000 }, (_, n) => ({
    name: 'check-payment',
    data: { orderId: `o-${n}` },
    opts: { jobId: `till-${n}`, timestamp: at - HOUR, delay: HOUR + 2 * (n - 2_000) },
  }))
  await raw.queue.addBulk(jobs)
  for (const ms of [0, -500, 500]) {
    const found = await view.lookFor({ orderId: 'o-2000', deadline: at + ms })
    expect([ms, found.checks.map(({ jobId }) => jobId)]).toEqual([ms, ['till-2000']])
  }
})

test('however many ask at once, each is told of its job, or that Redis cannot be asked now; never that there is none', async () => {
  const { view, raw } = open()
  const order = { deadline: clock.now() + HOUR, isUnpaid: true }
  const names = numbered(200)
  await raw.queue.addBulk(
    names.map((orderId) => ({
      name: 'check-payment',
      data: { orderId },
      opts: { jobId: `till-${orderId}`, delay: HOUR },
    })),
  )
  const ask = (ids: readonly string[]) => Promise.allSettled(ids.map((orderId) => view.findCheck({ orderId, order })))
  const few = names.slice(0, 20)
  expect((await ask(few)).map((one) => one.status === 'fulfilled' && one.value?.jobId)).toEqual(
    few.map((id) => `till-${id}`),
  )
  const many = await ask(names)
  for (const [n, one] of many.entries()) {
    if (one.status === 'fulfilled') expect(one.value?.jobId).toBe(`till-${names[n]}`)
    else expect(one.reason).toMatchObject({ code: 'REDIS_UNAVAILABLE', retryable: true })
  }
  expect(new Set(many.map(({ status }) => status))).toEqual(new Set(['fulfilled', 'rejected']))
  expect((await ask(few)).map(({ status }) => status)).toEqual(few.map(() => 'fulfilled'))
})

test('nobody looks through the queue for the job of an order that is settled', async () => {
  const { view, raw } = open()
  await raw.queue.add('check-payment', { orderId: 'a' }, { jobId: 'till-1', delay: HOUR })
  const find = (isUnpaid: boolean) => view.findCheck({ orderId: 'a', order: { deadline: undefined, isUnpaid } })
  expect([await find(true), await find(false)]).toEqual([expect.objectContaining({ jobId: 'till-1' }), undefined])
})

test('a job that was given up is found by its order, whatever its id', async () => {
  const { view, raw, keys } = open()
  const job = await raw.queue.add('check-payment', { orderId: 'a', deadline: 'soon' }, { jobId: 'till-1' })
  await raw.redis.multi().lrem(keys.wait, 0, 'till-1').zadd(keys.failed, 1, 'till-1').exec()
  await raw.redis.hset(keys.job('till-1'), { failedReason: 'INVALID_JOB: x', finishedOn: Date.now() })
  const { checks } = (await view.lookFor({ orderId: 'a' })) ?? {}
  expect(checks).toEqual([expect.objectContaining({ jobId: job.id, state: 'failed', failedReason: 'INVALID_JOB: x' })])
})

test('the last cancelled orders are those of checks and of sweeps, the latest first', async () => {
  const { notes, view, raw, keys } = open()
  const now = clock.now()
  notes.note(checksOf(['swept-1', 'swept-3']), [cancelled(now - 3_000), cancelled(now - 1_000)])
  await notes.stop()
  const finish = async (orderId: string, outcome: string, at: number) => {
    const jobId = `order-${orderId}`
    const decidedAt = new Date(at).toISOString()
    await raw.queue.add('check-payment', { orderId }, { jobId, delay: HOUR })
    const returnvalue = JSON.stringify({ outcome, deadline: decidedAt, decidedAt, decidedBy: 'host:2' })
    await raw.redis.hset(keys.job(jobId), { returnvalue, finishedOn: at })
    await raw.redis.multi().zrem(keys.delayed, jobId).zadd(keys.completed, at, jobId).exec()
  }
  await finish('checked-2', 'cancelled', now - 2_000)
  await finish('paid', 'kept', now)
  const last = await view.lastCancelled(10)
  expect(last.map(({ orderId, by }) => [orderId, by])).toEqual([
    ['swept-3', 'sweep'],
    ['checked-2', 'check'],
    ['swept-1', 'sweep'],
  ])
  expect(await view.lastCancelled(1)).toHaveLength(1)
})
