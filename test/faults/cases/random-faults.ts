import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { DaemonProcess } from '../../helpers/daemon.ts'
import type { Random } from '../../helpers/random.ts'
import { type FaultCase, UNKNOWN_MS } from '../harness/fault-case.ts'
import { perform, planWorkload } from '../harness/workload.ts'
import { CANCELLING, REDIS_MARKS, residentMb, type World } from '../harness/world.ts'

const WORKERS = 3
const ORDERS_PER_SECOND = 10
/** A worker's memory is judged if it has lived so long after it has warmed up. */
const WARM_UP_MS = 30_000
const JUDGED_MS = 90_000
/** By how much the memory of a worker may grow from the first third of its life to the last. */
const GROWTH = { share: 1.2, mb: 15 }

/** One fault of a plan: what, when, and for how long. Times count from the beginning. */
interface PlannedFault {
  atMs: number
  forMs: number
  fault: FaultName
  /** The number of the worker that it is about. Number 0 is never ended, so that its memory can be judged. */
  worker: number
  /** For the clock: by how much it is off. */
  offsetMs: number
}

/** A running worker, and its clock. */
interface Slot {
  process: DaemonProcess
  setClock: (offsetMs: number) => void
}

interface Stage {
  world: World
  slots: Slot[]
}

/** Rejects if what it needs is itself broken, and the fault does not take place. */
type Inject = (stage: Stage, fault: PlannedFault) => Promise<unknown>

/** The faults that can be combined at will, by what they break. Of each kind there is one at a time. */
const FAULTS = {
  redis: {
    'Redis killed': async ({ world }, { forMs }) => {
      await world.redis.die('SIGKILL')
      await sleep(forMs)
      await world.redis.start()
    },
    'Redis cut off': async ({ world }, { forMs }) => {
      world.cutRedis()
      await sleep(forMs)
      world.toRedis.heal()
      world.producersToRedis.heal()
    },
    'Redis frozen': async ({ world }, { forMs }) => {
      world.redis.freeze()
      await sleep(forMs)
      world.redis.thaw()
    },
    'Redis emptied': ({ world }) => world.admin.flushall(),
    'Redis read-only': async ({ world }, { forMs }) => {
      await world.admin.call('REPLICAOF', '127.0.0.1', '1')
      await sleep(forMs)
      await world.admin.call('REPLICAOF', 'NO', 'ONE')
    },
    'blocking connections half open': async ({ world }) => blackHole(world.toRedis.withMark('blocking')),
    'Redis connections half open': async ({ world }) => blackHole(world.toRedis.connections),
    'reply of Redis to a fetch lost': ({ world }) => loseReply(world.toRedis, /:wait\r\n/),
    'reply of Redis to a finish lost': ({ world }) => loseReply(world.toRedis, REDIS_MARKS.finish),
    'reply of Redis to an add lost': ({ world }) => loseReply(world.producersToRedis, /"orderId"/),
    'queue paused': async ({ world }, { forMs }) => {
      await world.admin.call('HSET', 'bull:check-payment:meta', 'paused', '1')
      await sleep(forMs)
      await world.rawQueue.resume()
    },
    'jobs promoted': async ({ world }) => {
      for (const job of await world.rawQueue.getDelayed(0, 50)) await job.promote()
    },
  },
  postgres: {
    'PostgreSQL killed': async ({ world }, { forMs }) => {
      await world.postgres?.die('SIGQUIT')
      await sleep(forMs)
      await world.postgres?.start()
    },
    'PostgreSQL cut off': async ({ world }, { forMs }) => {
      world.toPostgres.cut()
      await sleep(forMs)
      world.toPostgres.heal()
    },
    'PostgreSQL frozen': async ({ world }, { forMs }) => {
      world.postgres?.freeze()
      await sleep(forMs)
      world.postgres?.thaw()
    },
    'PostgreSQL connections half open': async ({ world }) => blackHole(world.toPostgres.connections),
    'PostgreSQL slow to reach': async ({ world }, { forMs }) => {
      world.toPostgres.delayMs = 100
      await sleep(forMs)
      world.toPostgres.heal()
    },
    'backends terminated': ({ world }) => terminateBackends(world),
    'answer of PostgreSQL to a batch lost': ({ world }) => loseReply(world.toPostgres, CANCELLING),
    'answer of PostgreSQL to a commit lost': ({ world }) => loseReply(world.toPostgres, /COMMIT/),
  },
  workers: {
    'worker killed': async (stage, { worker, forMs }) => {
      await stage.world.kill(slotOf(stage, worker).process)
      await sleep(forMs)
      stage.slots[worker] = launch(stage.world)
    },
    'worker told to end': async (stage, { worker }) => {
      const { process } = slotOf(stage, worker)
      stage.world.ended.add(process)
      // A Node that has only just been spawned has no handler yet, and ends at once.
      await process.until(({ service }) => service === 'http', 30_000)
      const from = Date.now()
      const code = await process.stop('SIGTERM')
      const tookMs = Date.now() - from
      stage.world.expect(code === 0 && tookMs < 26_000, `I8: SIGTERM ended it with code ${code} after ${tookMs} ms`)
      stage.slots[worker] = launch(stage.world)
    },
    'worker stopped': async (stage, { worker, forMs }) => {
      const { process } = slotOf(stage, worker)
      process.signal('SIGSTOP')
      await sleep(forMs * 3)
      process.signal('SIGCONT')
    },
    'event loop blocked': async (stage, { worker }) => slotOf(stage, worker).process.signal('SIGUSR2'),
    'clock off': async (stage, { worker, forMs, offsetMs }) => {
      slotOf(stage, worker).setClock(offsetMs)
      await sleep(forMs * 2)
      slotOf(stage, worker).setClock(0)
    },
  },
} satisfies Record<string, Record<string, Inject>>

type Lane = keyof typeof FAULTS
type FaultName = { [L in Lane]: keyof (typeof FAULTS)[L] }[Lane]

/** What is going to break, by lane. The same chance gives the same plan. */
function planFaults(random: Random, ms: number): Record<Lane, PlannedFault[]> {
  const plan = (lane: Lane): PlannedFault[] => {
    const names = Object.keys(FAULTS[lane]) as FaultName[]
    const planned: PlannedFault[] = []
    for (let atMs = random.between(1_000, 6_000); atMs < ms - 2_000; ) {
      const fault = random.pick(names)
      const forMs = random.between(200, 6_000)
      const isLast = fault === 'worker killed' || fault === 'worker told to end'
      const worker = random.between(isLast ? 1 : 0, WORKERS - 1)
      const offsetMs = random.pick([-300_000, -60_000, 60_000, 300_000])
      planned.push({ atMs, forMs, fault, worker, offsetMs })
      atMs += forMs + random.between(500, 6_000)
    }
    return planned
  }
  return { redis: plan('redis'), postgres: plan('postgres'), workers: plan('workers') }
}

/** A case of random faults under a steady workload, from the world's own seed. */
export function randomCase(options: {
  name: string
  ms: number
  /** What keeps two such cases of one seed apart. */
  salt?: number
  replay?: string
  onProgress?: (line: string) => void
}): FaultCase {
  const { name, ms, salt = 0, replay, onProgress } = options
  return {
    name,
    ...(replay && { replay }),
    injected: `${ms / 1_000} s of random faults of Redis, PostgreSQL and three workers, one of each at a time`,
    promise: 'nothing wrong at any time; everything within 90 s of the end of the faults; memory flat',
    boundMs: UNKNOWN_MS,
    seconds: ms / 1_000 + 50,
    world: { workers: 0, ownPostgres: true, hasStock: true },
    async run(world) {
      for (let skipped = 0; skipped < salt; skipped++) world.random.next()
      const stage: Stage = { world, slots: [] }
      const planned = planFaults(world.random, ms)
      const workload = planWorkload(world.random, {
        orders: (ms / 1_000) * ORDERS_PER_SECOND,
        overMs: ms,
        toPayMs: [500, 8_000],
        enqueue: { client: 10, raw: 4, twice: 2, late: 2, never: 1 },
      })
      for (let worker = 0; worker < WORKERS; worker++) stage.slots.push(launch(world))
      await Promise.all(stage.slots.map(({ process }) => process.until(({ msg }) => msg === 'ready')))
      await world.postgresShop.openAll()

      const memory = watchMemory(stage, onProgress)
      const startedAt = Date.now()
      let happened = 0
      const lanes = (Object.keys(FAULTS) as Lane[]).map(async (lane) => {
        for (const fault of planned[lane]) {
          await sleep(Math.max(0, startedAt + fault.atMs - Date.now()))
          onProgress?.(`${seconds(fault.atMs)} ${fault.fault}, worker ${fault.worker}, for ${fault.forMs} ms`)
          const inject: Inject = (FAULTS[lane] as Record<string, Inject>)[fault.fault] as Inject
          await inject(stage, fault).then(
            () => happened++,
            (error: Error) =>
              onProgress?.(`${seconds(fault.atMs)} ${fault.fault} did not take place: ${error.message}`),
          )
        }
      })
      await Promise.all([perform(world, workload), ...lanes])
      const all = Object.values(planned).flat().length
      world.notes.push(`${happened} of ${all} faults took place`)
      if (happened < all / 2)
        throw new Error(`expected at least half of the faults to take place: ${happened} of ${all}`)
      world.heal()
      for (const { setClock } of stage.slots) setClock(0)
      world.known.clear()
      world.violations.push(...memory.end())
      return Date.now()
    },
  }
}

function launch(world: World): Slot {
  const { env, setClock } = world.skewedClock()
  return { process: world.launchWorker({ ...env, FAULT_BLOCK_MS: '8000' }), setClock }
}

function slotOf({ slots }: Stage, worker: number): Slot {
  return slots[worker] as Slot
}

function blackHole(connections: Iterable<{ blackHole(): void }>): void {
  const all = [...connections]
  if (all.length === 0) throw new Error('there is no such connection')
  for (const connection of all) connection.blackHole()
}

async function loseReply(proxy: World['toRedis'], request: RegExp): Promise<void> {
  const { hit, release } = proxy.intercept({ matches: (text) => request.test(text), action: 'lose-reply' })
  const caught = await Promise.race([hit, sleep(5_000, undefined, { ref: false })])
  release()
  if (!caught) throw new Error('there was no such request')
}

async function terminateBackends(world: World): Promise<void> {
  const admin = new pg.Client({ connectionString: world.postgres?.url, connectionTimeoutMillis: 2_000 })
  admin.on('error', () => {})
  try {
    await admin.connect()
    const { rowCount } = await admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'order-expiry'`,
    )
    if (!rowCount) throw new Error('there is no such backend')
  } finally {
    await admin.end()
  }
}

/** Samples the memory of all workers. */
function watchMemory(stage: Stage, onProgress?: (line: string) => void): { end(): string[] } {
  const startedAt = Date.now()
  const samples = new Map<number, number[]>()
  const everyMs = 1_000
  const timer = setInterval(() => {
    const living = stage.slots.flatMap(({ process }) => (process.hasExited ? [] : [process.child.pid as number]))
    for (const pid of living) samples.set(pid, [...(samples.get(pid) ?? []), residentMb(pid)])
    if (!onProgress || (Date.now() - startedAt) % 10_000 >= everyMs) return
    const sizes = living.map((pid) => `${Math.round(samples.get(pid)?.at(-1) ?? 0)} MB`).join(', ')
    onProgress(`${seconds(Date.now() - startedAt)} workers: ${sizes}`)
  }, everyMs)
  return {
    end() {
      clearInterval(timer)
      return [...samples].flatMap(([pid, all]) => {
        const warm = all.slice(WARM_UP_MS / everyMs)
        if (warm.length * everyMs < JUDGED_MS) return []
        const third = Math.floor(warm.length / 3)
        const [first, last] = [median(warm.slice(0, third)), median(warm.slice(-third))]
        onProgress?.(`memory of worker ${pid}: median ${Math.round(first)} MB at first, ${Math.round(last)} MB at last`)
        if (last <= first * GROWTH.share + GROWTH.mb) return []
        return [`the memory of a worker has grown from ${Math.round(first)} to ${Math.round(last)} MB`]
      })
    },
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1).padStart(6)} s`
}
