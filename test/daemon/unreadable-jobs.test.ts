import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { namedQueue } from '../../src/redis/keys.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { redisUrl } from '../helpers/env.ts'
import { eventually } from '../helpers/eventually.ts'
import { RawQueue } from '../helpers/raw-queue.ts'

const HOUR = 3_600_000
/** What is stored for jobs that a board cannot make jobs of, and for some that it only nearly can. */
const BAD: Record<string, Record<string, string>> = {
  'no-json': { data: '{"orderId": "17", "email": "a@b.example"' },
  'no-options': { opts: '{' },
  'null-options': { opts: 'null' },
  'null-data': { data: 'null' },
  'no-progress': { progress: 'x' },
  'no-parent': { parent: 'x' },
  'no-numbers': { timestamp: 'x', delay: 'x', ats: 'x', atm: 'x', processedOn: 'x' },
  'no-result': { returnvalue: 'x', stacktrace: 'x' },
}
const STATES = ['waiting', 'delayed', 'active', 'failed', 'completed', 'prioritized'] as const

const VIEWER = 'ann:look-but-change-nothing'
const OPERATOR = 'bob:act-as-an-operator'

const raw = new RawQueue()
const { keys } = namedQueue({ name: raw.name })
let daemon: DaemonProcess
let url: string

beforeAll(async () => {
  await raw.queue.pause() // what waits is to be looked at, not checked
  const users = `${VIEWER}:viewer,${OPERATOR}:operator`
  daemon = await DaemonProcess.start({ REDIS_URL: redisUrl(), QUEUE_NAME: raw.name, BOARD_USERS: users })
  url = await daemon.url()
})
afterAll(async () => {
  await daemon.stop()
  await raw.close()
})

async function place(jobId: string, state: (typeof STATES)[number], fields: Record<string, string>): Promise<void> {
  const orderId = jobId
  await raw.queue.add('check-payment', { orderId, deadline: Date.now() + HOUR }, { jobId, delay: HOUR })
  await raw.redis.hset(keys.job(jobId), { ...fields, seen: '1' })
  await raw.redis.zrem(keys.delayed, jobId)
  if (state === 'waiting') await raw.redis.lpush(keys.wait, jobId)
  else if (state === 'active') {
    await raw.redis.set(keys.jobLock(jobId), 'another worker')
    await raw.redis.lpush(keys.active, jobId)
  } else await raw.redis.zadd(keys[state], (Date.now() + HOUR) * 0x1000, jobId)
}

async function list(status: string, user = VIEWER): Promise<string> {
  const answer = await askBoard(`queues?activeQueue=${raw.name}&status=${status}&jobsPerPage=50`, user)
  expect(answer.status).toBe(200)
  return JSON.stringify(await answer.json())
}

function askBoard(path: string, user = VIEWER): Promise<Response> {
  return fetch(`${url}/board/api/${path}`, { headers: { authorization: `Basic ${btoa(user)}` } })
}

test.each(STATES)(
  'the list of %s jobs shows each beside a good one, and nothing that may be personal',
  async (state) => {
    for (const [name, fields] of [...Object.entries(BAD), ['good', {}] as const]) {
      await place(`${state}-${name}`, state, fields)
    }
    const shown = await list(state)
    for (const name of [...Object.keys(BAD), 'good']) expect(shown).toContain(`"${state}-${name}"`)
    expect(shown).toContain('data: expected JSON, given 40 characters of something else')
    expect(shown).toContain('/orders/17')
    expect(shown).not.toContain('a@b.example')
    expect(await list('latest')).toContain(`"${state}-good"`)
  },
)

test('the page of a job shows why it cannot be read', async () => {
  const answer = await askBoard(`queues/${raw.name}/failed-no-options`)
  expect([answer.status, JSON.stringify(await answer.json())]).toEqual([
    200,
    expect.stringContaining('opts: expected a JSON object'),
  ])
})

test('another key in the place of a job is shown, and hides no other', async () => {
  await raw.redis.set(keys.job('stranger'), 'x')
  await raw.redis.lpush(keys.wait, 'stranger')
  const shown = await list('waiting')
  expect(shown).toContain('"stranger"')
  expect(shown).toContain('expected a hash, given a key of another type')
  expect(shown).toContain('"waiting-good"')
  expect(await list('latest')).toContain('"stranger"')
})

test('once the queue goes on, those that cannot be read fail once, with a log line and a metric, and are shown', async () => {
  await raw.redis.lrem(keys.wait, 0, 'stranger')
  await raw.queue.resume()
  const line = await daemon.until(({ jobId }) => jobId === 'waiting-no-json')
  expect(line).toMatchObject({ level: 'error', code: 'INVALID_JOB', msg: expect.stringContaining('waiting-no-json') })
  await eventually('all are checked', async () => ((await raw.queue.getWaitingCount()) === 0 ? true : undefined))
  const reason = 'INVALID_JOB: the job waiting-no-json cannot be read: data: expected JSON'
  expect(await list('failed', OPERATOR)).toContain(reason)
  expect(await list('failed')).not.toContain(reason)
  const metrics = await (await fetch(`${url}/metrics`)).text()
  expect(metrics).toMatch(/order_expiry_checks_given_up_total\{code="INVALID_JOB"\} [1-9]/)
})
