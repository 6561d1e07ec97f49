import { expect } from '@jest/globals'
import { JOB_NAME } from '../../src/queue/contract.ts'
import { LEFT_BEHIND_PRIORITY } from '../../src/queue/left-behind.ts'
import { NOTES_KEPT } from '../../src/queue/view/check-notes.ts'
import { type ClaimsUnderTest, idsOf, LOCK_MS } from './claims-under-test.ts'

type Check = (under: ClaimsUnderTest) => Promise<void>

const claiming: Record<string, Check> = {
  'what waits is claimed in the order in which it was added, and what is put in front first': async (under) => {
    await under.add('a')
    await under.add('b')
    await under.add('first', { lifo: true })
    const { jobs } = await under.claim('t')
    expect(jobs).toHaveLength(3)
    expect(await under.active()).toEqual(['first', 'a', 'b'])
  },

  'what is due is claimed by its time, after what waits, and nothing that is not due': async (under) => {
    await under.addDueIn('later', -10_000)
    await under.addDueIn('earlier', -20_000)
    await under.addDueIn('not-yet', 60_000)
    await under.add('waits')
    const { jobs, now, nextAt } = await under.claim('t')
    expect(jobs).toHaveLength(3)
    expect(await under.active()).toEqual(['waits', 'earlier', 'later'])
    expect(await under.state('not-yet')).toBe('delayed')
    expect(Math.abs(nextAt - now - 60_000)).toBeLessThan(5_000)
    expect(await under.events('later')).toEqual(['added', 'delayed', 'waiting', 'active'])
    expect(await under.fields('later')).toMatchObject({ delay: '0', ats: '1', processedOn: `${Math.floor(now)}` })
  },

  'what has a priority is claimed last, by its priority, also where it has just become due': async (under) => {
    await under.add('two', { priority: 2 })
    await under.add('one', { priority: 1 })
    await under.addDueIn('due-one', -10, { priority: 1 })
    await under.addDueIn('due', -5)
    const { jobs } = await under.claim('t')
    expect(jobs).toHaveLength(4)
    expect(await under.active()).toEqual(['due', 'one', 'due-one', 'two'])
  },

  'no job with a priority comes before one that is due, however few are claimed': async (under) => {
    await under.addDueIn('with-priority', -20, { priority: 1 })
    await under.addDueIn('without', -10)
    const claimed: string[] = []
    for (let n = 0; claimed.length < 2; n++) claimed.push(...idsOf(await under.claim(`t${n}`, { most: 1 })))
    expect(claimed).toEqual(['without', 'with-priority'])
  },

  'of those with the last priority no more are claimed than are wanted': async (under) => {
    for (const id of ['a', 'b', 'c']) await under.add(id, { priority: LEFT_BEHIND_PRIORITY })
    await under.add('good')
    const claim = await under.claim('t', { mostLast: 1 })
    expect(idsOf(claim)).toEqual(['a', 'good'])
    expect(claim.isHeld || claim.limitedMs > 0).toBe(true)
    expect(await under.state('b')).toBe('prioritized')
  },

  'of a paused queue nothing is claimed, and what is due waits': async (under) => {
    await under.add('a')
    await under.addDueIn('due', -10)
    await under.queue.pause()
    const claim = await under.claim('t')
    expect(claim).toMatchObject({ jobs: [], nextAt: Number.POSITIVE_INFINITY, limitedMs: 0 })
    expect(await under.state('due')).toBe('waiting')
    await under.queue.resume()
    expect(idsOf(await under.claim('u'))).toEqual(['a', 'due'])
  },

  'no more are active than the global concurrency of the queue allows': async (under) => {
    await under.queue.setGlobalConcurrency(2)
    for (const id of ['a', 'b', 'c']) await under.add(id)
    const claim = await under.claim('t')
    expect(idsOf(claim)).toEqual(['a', 'b'])
    expect(claim.isHeld).toBe(true)
    expect(await under.claim('u')).toMatchObject({ jobs: [], isHeld: true })
    await under.complete('t', 'a')
    expect(idsOf(await under.claim('v'))).toEqual(['c'])
  },

  'where a global concurrency is used up, it is said that more may be claimed after an end': async (under) => {
    await under.queue.setGlobalConcurrency(1)
    await under.add('a')
    const claim = await under.claim('t')
    expect(idsOf(claim)).toEqual(['a'])
    expect(claim.isHeld).toBe(true) // for a job that is added now, BullMQ sets no marker
  },

  'no more are claimed than the rate limit of the queue allows': async (under) => {
    await under.queue.setGlobalRateLimit(2, 60_000)
    for (const id of ['a', 'b', 'c']) await under.add(id)
    expect(idsOf(await under.claim('t'))).toEqual(['a', 'b'])
    const { jobs, limitedMs } = await under.claim('u')
    expect(jobs).toEqual([])
    expect(limitedMs).toBeGreaterThan(50_000)
    expect(limitedMs).toBeLessThanOrEqual(60_000)
    expect(await under.redis.get(under.key('limiter'))).toBe('2')
  },

  'a key in the place of a job is told of, and is in no list any more': async (under) => {
    await under.redis.lpush(under.key('wait'), 'stranger')
    await under.redis.set(under.key('stranger'), 'no hash')
    await under.redis.zadd(under.key('prioritized'), 1, 'second')
    await under.redis.set(under.key('second'), 'no hash')
    await under.redis.zadd(under.key('delayed'), 1, 'third')
    await under.redis.set(under.key('third'), 'no hash')
    await under.addDueIn('good', -10)
    const claim = await under.claim('t')
    expect(claim.strangers.toSorted()).toEqual(['second', 'stranger', 'third'])
    expect(idsOf(claim)).toEqual(['good'])
    expect(await under.active()).toEqual(['good'])
    expect(await under.claim('u')).toMatchObject({ jobs: [], strangers: [] })
  },

  'a job whose hash is lost is claimed, without data, and can be ended': async (under) => {
    await under.add('lost')
    await under.redis.del(under.key('lost'))
    const { jobs } = await under.claim('t')
    expect(jobs).toMatchObject([{ id: 'lost', data: undefined, fields: { ats: '1' } }])
    expect(await under.complete('t', 'lost')).toEqual([])
    expect(await under.state('lost')).toBe('completed')
  },

  'all that is on a job is told, unless it is nothing unusual': async (under) => {
    await under.add('plain')
    await under.add('foreign', {}, 'another-name')
    await under.add('priority', { priority: 3 })
    await under.add('deduplicated', { deduplication: { id: 'x' } })
    await under.addChild('child', 'parent')
    await under.add('tried', { attempts: 3 })
    await under.redis.hset(under.key('tried'), 'atm', 1)
    await under.add('left')
    await under.redis.hset(under.key('left'), 'stc', 1)
    const claim = await under.claim('t')
    const plain = claim.jobs.flatMap(({ id, fields }) => (fields ? [] : [id]))
    expect(plain).toEqual(['plain'])
    for (const { id, data, opts, timestamp, fields } of claim.jobs) {
      const kept = await under.fields(id)
      expect({ data, opts, timestamp }).toEqual({ data: kept.data, opts: kept.opts, timestamp: kept.timestamp })
      if (fields) expect(fields).toEqual(kept)
    }
    await under.putBack('t', 'plain', { dueAt: 0 })
    expect(await under.claim('u')).toMatchObject({ jobs: [{ id: 'plain', fields: { ats: '2' } }] })
  },

  'where more may be claimed, it is said, and another is woken': async (under) => {
    for (const id of ['a', 'b', 'c']) await under.addDueIn(id, -10)
    await under.redis.del(under.key('marker'))
    const { woken, close } = await under.sleeper()
    expect(await under.claim('t', { most: 2 })).toMatchObject({ nextAt: 0 })
    expect(await woken).toMatchObject({ score: 0 })
    await close()
    expect(await under.claim('u')).toMatchObject({ jobs: [{ id: 'c' }], nextAt: Number.POSITIVE_INFINITY })
  },

  'where a prioritized job is left, another is woken': async (under) => {
    for (const id of ['a', 'b']) await under.add(id, { priority: 1 })
    await under.redis.del(under.key('marker'))
    await under.claim('t', { most: 1 })
    expect(await under.redis.zscore(under.key('marker'), '0')).toBe('0')
  },

  'the same token brings the same jobs again, as far as they are still locked with it': async (under) => {
    for (const id of ['a', 'b', 'c']) await under.add(id)
    const first = await under.claim('t', { most: 2 })
    const again = await under.claim('t', { most: 2 })
    expect(idsOf(again)).toEqual(idsOf(first))
    expect(again.jobs.find(({ id }) => id === 'a')?.data).toBe('{"orderId":"a"}')
    expect(await under.fields('a')).toMatchObject({ ats: '1' })
    await under.complete('t', 'a')
    expect(idsOf(await under.claim('t', { most: 2 }))).toEqual(['b'])
    expect(idsOf(await under.claim('u'))).toEqual(['c'])
  },

  'the same token again brings prioritized jobs as well': async (under) => {
    await under.add('a', { priority: 1 })
    expect(idsOf(await under.claim('t'))).toEqual(['a'])
    expect(idsOf(await under.claim('t'))).toEqual(['a'])
  },

  'a claim that arrives after the next one takes nothing': async (under) => {
    for (const id of ['a', 'b']) await under.add(id)
    await under.claim('w:10', { most: 1 })
    expect((await under.claim('w:9')).jobs).toEqual([])
    expect(idsOf(await under.claim('w:11'))).toEqual(['b'])
  },

  'a claim that arrives again takes nothing, also where it had found nothing': async (under) => {
    await under.claim('w:1')
    await under.add('a')
    expect((await under.claim('w:1')).jobs).toEqual([])
    expect(idsOf(await under.claim('w:2'))).toEqual(['a'])
  },

  'a job whose priority is no number to Redis loses no other': async (under) => {
    for (const id of ['a', 'b', 'c']) await under.addDueIn(id, -1_000)
    await under.redis.hset(under.key('b'), 'priority', 'nan')
    expect(idsOf(await under.claim('t')).toSorted()).toEqual(['a', 'b', 'c'])
    expect(await under.redis.zcard(under.key('delayed'))).toBe(0)
  },

  'a claimed job is locked with the token, for as long as a lock is': async (under) => {
    await under.add('a')
    await under.claim('t')
    expect(await under.lockOf('a')).toBe('t')
    const leftMs = await under.redis.pttl(under.key('a:lock'))
    expect(leftMs).toBeGreaterThan(LOCK_MS - 5_000)
    expect(leftMs).toBeLessThanOrEqual(LOCK_MS)
  },
}

const completing: Record<string, Check> = {
  'a job is completed': async (under) => {
    await under.add('a')
    await under.claim('t')
    expect(await under.complete('t', 'a')).toEqual([])
    expect(await under.state('a')).toBe('completed')
    const { finishedOn, ...fields } = await under.fields('a')
    expect(fields).toMatchObject({ returnvalue: '{"outcome":"kept"}', atm: '1' })
    expect(Math.abs(Number(finishedOn) - Date.now())).toBeLessThan(5_000)
    expect(await under.lockOf('a')).toBeNull()
    expect(await under.active()).toEqual([])
    expect(await under.events('a')).toEqual(['added', 'waiting', 'active', 'completed'])
  },

  'the same end again, since its answer was lost, is no refusal and changes nothing': async (under) => {
    await under.add('a')
    await under.claim('t')
    await under.complete('t', 'a')
    const before = await under.fields('a')
    expect(await under.complete('t', 'a')).toEqual([])
    expect(await under.fields('a')).toEqual(before)
    expect(await under.events('a')).toEqual(['added', 'waiting', 'active', 'completed'])
  },

  'a job that cannot be ended is refused, and the others are ended': async (under) => {
    for (const id of ['anothers', 'lost-lock', 'gone', 'not-active', 'good']) await under.add(id)
    await under.claim('t')
    await under.redis.set(under.key('anothers:lock'), 'u')
    await under.redis.del(under.key('lost-lock:lock'))
    await under.redis.del(under.key('gone'))
    await under.redis.lrem(under.key('active'), 1, 'not-active')
    const refused = await under.complete('t', 'anothers', 'lost-lock', 'gone', 'not-active', 'good')
    expect(new Map(refused)).toEqual(
      new Map([
        ['anothers', -6],
        ['lost-lock', -2],
        ['gone', -1],
        ['not-active', -3],
      ]),
    )
    expect(await under.state('good')).toBe('completed')
    expect(await under.lockOf('anothers')).toBe('u')
    expect(await under.active()).toEqual(['anothers', 'lost-lock', 'gone'])
  },

  'a completed job is not taken for stalled': async (under) => {
    await under.add('a')
    await under.claim('t')
    await under.claims.putStalledBack({ everyMs: 1 }) // takes down which jobs are active
    expect(await under.redis.smembers(under.key('stalled'))).toEqual(['a'])
    await under.complete('t', 'a')
    expect(await under.redis.smembers(under.key('stalled'))).toEqual([])
  },

  'the parent of a flow moves on with its last child, also where both end together': async (under) => {
    await under.addChild('child', 'parent')
    await under.add('other')
    await under.claim('t')
    expect(await under.complete('t', 'child', 'other')).toEqual([])
    expect(await under.state('parent')).toBe('waiting')
    expect(await under.redis.hgetall(under.key('parent:processed'))).toEqual({
      [under.key('child')]: '{"outcome":"kept"}',
    })
  },

  'a parent that was given to a job while it was active moves on': async (under) => {
    await under.add('child')
    expect((await under.claim('t')).jobs[0]?.fields).toBeUndefined()
    await under.addChild('child', 'parent')
    expect(await under.complete('t', 'child')).toEqual([])
    expect(await under.state('parent')).toBe('waiting')
  },

  'a job that waits for a child is refused, and is still active': async (under) => {
    await under.add('parent')
    await under.claim('t')
    await under.addChild('child', 'parent')
    expect(await under.complete('t', 'parent')).toEqual([['parent', -4]])
    expect(await under.active()).toEqual(['parent'])
    expect(await under.lockOf('parent')).toBe('t')
  },

  'whoever was kept out for the sake of a job may be added after its end': async (under) => {
    await under.add('a', { deduplication: { id: 'same' } })
    await under.claim('t')
    await under.add('kept-out', { deduplication: { id: 'same' } })
    expect(await under.state('kept-out')).toBe('unknown')
    await under.complete('t', 'a')
    await under.add('b', { deduplication: { id: 'same' } })
    expect(await under.state('b')).toBe('waiting')
  },

  'the last one that came meanwhile is added at the end, where it is to be kept': async (under) => {
    const deduplication = { id: 'same', keepLastIfActive: true }
    await under.add('a', { deduplication })
    await under.claim('t')
    await under.add('b', { deduplication })
    await under.complete('t', 'a')
    expect(await under.queue.getWaitingCount()).toBe(1)
  },

  'a thousand, the most that BATCH_SIZE may be, are claimed at once, claimed again, put back and ended': async (
    under,
  ) => {
    const opts = { timestamp: Date.now() - 60_000, delay: 59_000 }
    const jobs = Array.from({ length: 1_000 }, (_, n) => ({ id: `job-${n}`, data: { orderId: `job-${n}` } }))
    await under.queue.addBulk(jobs.map(({ id, data }) => ({ name: JOB_NAME, data, opts: { jobId: id, ...opts } })))
    const claimed = idsOf(await under.claim('t', { most: 1_000 }))
    expect(claimed).toHaveLength(1_000)
    expect(idsOf(await under.claim('t', { most: 1_000 }))).toEqual(claimed)
    const how = { dueAt: Date.now() + 60_000, priority: 0, note: 'put back' }
    const back = claimed.slice(0, 500).map((id) => ({ id, data: JSON.stringify({ orderId: id }), ...how }))
    expect(await under.claims.putBack('t', back)).toEqual({ refused: [], changed: [] })
    expect(await under.complete('t', ...claimed.slice(500))).toEqual([])
    expect(await under.active()).toEqual([])
    expect(await under.queue.getCompletedCount()).toBe(500)
    expect(await under.queue.getDelayedCount()).toBe(500)
  },

  'no more events are kept than BullMQ keeps': async (under) => {
    for (let n = 0; n < 300; n++) await under.add(`job-${n}`)
    await under.redis.hset(under.key('meta'), { 'opts.maxLenEvents': 10 })
    for (let n = 1; (await under.queue.getCompletedCount()) < 300; n++) {
      const ids = idsOf(await under.claim(`t:${n}`, { most: 150 }))
      expect(ids).not.toEqual([])
      expect(await under.complete(`t:${n}`, ...ids)).toEqual([])
    }
    expect(await under.queue.getCompletedCount()).toBe(300)
    expect(await under.redis.xlen(under.key('events'))).toBeLessThanOrEqual(300) // Redis drops whole nodes of a hundred
  },
}

const failed = { failedReason: 'why', stacktrace: '["at"]', attempts: 1, opts: {} }

const failing: Record<string, Check> = {
  'a job fails for good, whatever its attempts': async (under) => {
    await under.add('a', { attempts: 5 })
    await under.claim('t')
    expect(await under.claims.fail('t', { id: 'a', ...failed })).toEqual([])
    expect(await under.state('a')).toBe('failed')
    expect(await under.fields('a')).toMatchObject({ failedReason: 'why', stacktrace: '["at"]', atm: '1' })
    expect(await under.events('a')).toEqual(['added', 'waiting', 'active', 'failed', 'retries-exhausted'])
    expect(await under.claims.fail('t', { id: 'a', ...failed })).toEqual([])
  },

  'with a child fails its parent, where the child says so': async (under) => {
    await under.addChild('child', 'parent', { failParentOnFailure: true })
    await under.claim('t')
    await under.claims.fail('t', { id: 'child', ...failed })
    const { jobs } = await under.claim('u')
    expect(jobs).toMatchObject([{ id: 'parent', fields: { defa: expect.stringContaining('child') } }])
  },

  'of a child that fails, its parent moves on, where the child says so': async (under) => {
    await under.addChild('child', 'parent', { ignoreDependencyOnFailure: true })
    await under.claim('t')
    await under.claims.fail('t', { id: 'child', ...failed })
    expect(await under.state('parent')).toBe('waiting')
  },

  'what another has locked does not fail': async (under) => {
    await under.add('a')
    await under.claim('t')
    expect(await under.claims.fail('u', { id: 'a', ...failed })).toEqual([['a', -6]])
    expect(await under.state('a')).toBe('active')
  },
}

const puttingBack: Record<string, Check> = {
  'a job is put back until its time, with its note': async (under) => {
    await under.add('a')
    await under.claim('t')
    await under.redis.del(under.key('marker'))
    const dueAt = Date.now() + 60_000
    expect(await under.putBack('t', 'a', { dueAt, priority: 7 })).toEqual({ refused: [], changed: [] })
    expect(await under.state('a')).toBe('delayed')
    const { atm, ...fields } = await under.fields('a')
    expect(fields).toMatchObject({ delay: expect.stringMatching(/^(60000|59\d{3})$/), priority: '7' })
    expect(atm).toBeUndefined()
    expect((await under.queue.getJobLogs('a')).logs).toEqual(['put back'])
    expect(await under.lockOf('a')).toBeNull()
    expect(await under.active()).toEqual([])
    expect(await under.events('a')).toEqual(['added', 'waiting', 'active', 'delayed'])
    const score = await under.redis.zscore(under.key('delayed'), 'a')
    expect(Number(score) / 0x1000).toBeCloseTo(dueAt, -1)
    const marker = await under.redis.zscore(under.key('marker'), '1')
    expect(Number(marker)).toBeCloseTo(Number(score) / 0x1000, 2) // so that whoever sleeps is woken for it
  },

  'jobs that are put back till the same moment come in the order in which they were put back': async (under) => {
    const ids = ['c', 'a', 'b']
    for (const id of ids) await under.add(id)
    await under.claim('t')
    const data = (id: string) => JSON.stringify({ orderId: id })
    const jobs = ids.map((id) => ({ id, dueAt: 0, priority: 0, data: data(id), note: '' }))
    await under.claims.putBack('t', jobs)
    await under.claim('u')
    expect(await under.active()).toEqual(ids)
  },

  'a job whose data somebody has changed meanwhile stays, and its data is told': async (under) => {
    await under.add('a')
    await under.claim('t')
    await (await under.queue.getJob('a'))?.updateData({ orderId: 'a', deadline: 5 })
    const { refused, changed } = await under.putBack('t', 'a')
    expect({ refused, changed }).toEqual({ refused: [], changed: [['a', '{"orderId":"a","deadline":5}']] })
    expect(await under.active()).toEqual(['a'])
    expect(await under.lockOf('a')).toBe('t')
  },

  'a failed attempt is counted, and its reason is kept': async (under) => {
    await under.add('a')
    await under.claim('t')
    await under.putBack('t', 'a', { failedReason: 'why', dueAt: 0 })
    expect(await under.fields('a')).toMatchObject({ atm: '1', failedReason: 'why' })
    expect(await under.claim('u')).toMatchObject({ jobs: [{ id: 'a', fields: { atm: '1', ats: '2' } }] })
  },

  'the same again, since its answer was lost, is no refusal and changes nothing': async (under) => {
    await under.add('a')
    await under.claim('t')
    await under.putBack('t', 'a', { failedReason: 'why' })
    expect(await under.putBack('t', 'a', { failedReason: 'why' })).toEqual({ refused: [], changed: [] })
    expect(await under.fields('a')).toMatchObject({ atm: '1' })
    expect((await under.queue.getJobLogs('a')).logs).toEqual(['put back'])
  },

  'a job that cannot be put back is refused': async (under) => {
    for (const id of ['anothers', 'lost-lock', 'gone', 'not-active']) await under.add(id)
    await under.claim('t')
    await under.redis.set(under.key('anothers:lock'), 'u')
    await under.redis.del(under.key('lost-lock:lock'))
    await under.redis.del(under.key('gone'), under.key('gone:lock'))
    await under.redis.lrem(under.key('active'), 1, 'not-active')
    const codes: [string, number][] = []
    for (const id of ['anothers', 'lost-lock', 'gone', 'not-active'])
      codes.push(...(await under.putBack('t', id)).refused)
    expect(codes).toEqual([
      ['anothers', -6],
      ['lost-lock', -2],
      ['gone', -1],
      ['not-active', -3],
    ])
    expect(await under.redis.exists(under.key('delayed'))).toBe(0)
  },

  'a job whose hash is lost meanwhile is gone': async (under) => {
    await under.add('a')
    await under.claim('t')
    await under.redis.del(under.key('a'))
    expect(await under.putBack('t', 'a')).toEqual({ refused: [['a', -1]], changed: [] })
  },

  'only the last notes are kept': async (under) => {
    await under.add('a')
    await under.redis.rpush(under.key('a:logs'), ...Array.from({ length: NOTES_KEPT }, (_, n) => `${n}`))
    await under.claim('t')
    await under.putBack('t', 'a')
    const notes = await under.redis.lrange(under.key('a:logs'), 0, -1)
    expect(notes).toHaveLength(NOTES_KEPT)
    expect(notes.at(-1)).toBe('put back')
  },
}

const lookingForStalled: Record<string, Check> = {
  'a job is put back whose lock is gone for two looks, and others are not': async (under) => {
    for (const id of ['left', 'held']) await under.add(id)
    await under.claim('t')
    await under.redis.del(under.key('left:lock'))
    for (let looks = 0; looks < 2; looks++) {
      await under.claims.putStalledBack({ everyMs: 60_000 })
      await under.redis.del(under.key('stalled-check'))
    }
    expect(await under.active()).toEqual(['held'])
    expect(await under.claim('u')).toMatchObject({ jobs: [{ id: 'left', fields: { ats: '2', stc: '1' } }] })
  },

  'a look that comes too early changes nothing': async (under) => {
    await under.add('a')
    await under.claim('t')
    await under.redis.del(under.key('a:lock'))
    for (let looks = 0; looks < 3; looks++) await under.claims.putStalledBack({ everyMs: 60_000 })
    expect(await under.active()).toEqual(['a'])
    expect(await under.redis.pttl(under.key('stalled-check'))).toBeGreaterThan(30_000)
  },

  'a key in the place of an active job is told of, and is in no list any more': async (under) => {
    await under.redis.lpush(under.key('active'), 'stranger')
    await under.redis.set(under.key('stranger'), 'no hash')
    const told: string[] = []
    for (let looks = 0; looks < 2; looks++) {
      told.push(...(await under.claims.putStalledBack({ everyMs: 60_000 })))
      await under.redis.del(under.key('stalled-check'))
    }
    expect(told).toEqual(['stranger'])
    expect(await under.active()).toEqual([])
  },
}

/** The contract of the port `Claims`, by name. Both kinds keep it. */
export const claimsContract: Readonly<Record<string, Readonly<Record<string, Check>>>> = {
  claim: claiming,
  complete: completing,
  fail: failing,
  'put back': puttingBack,
  'look for stalled jobs': lookingForStalled,
}
