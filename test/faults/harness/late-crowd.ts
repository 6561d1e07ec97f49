import { setTimeout as sleep } from 'node:timers/promises'
import { KNOWN_MS } from './fault-case.ts'
import { placeCrowd } from './workload.ts'
import type { World } from './world.ts'

/** Orders that fall due when all is well again, and how long before. */
const LATE = { orders: 40, inMs: 1_500 }
/** An idle worker fetches once a second. */
const FETCH_MS = 3_000
/** What is well again may take so long to show it, on a busy machine. */
const SHOWS_MS = 5_000

/** Waits until every living worker fetches from the queue, each on a connection of its own. @returns what is wrong */
export async function untilAllFetch(world: World, until: number): Promise<string[]> {
  const endsAt = Math.max(until, Date.now() + SHOWS_MS)
  const { length: living } = world.living
  for (;;) {
    const fetching = world.countFetching(Date.now() - FETCH_MS)
    if (fetching >= living) return []
    if (Date.now() > endsAt) return [`I2: ${fetching} of ${living} workers fetch from the queue at the end`]
    await sleep(50)
  }
}

/** Waits until the queue has worked off what the fault has put off, so that the late crowd does not queue up behind it. */
export async function untilWorkedOff(world: World, until: number): Promise<void> {
  while (Date.now() < until && (await world.countJobsDue(Date.now() + SHOWS_MS)) > 0) await sleep(100)
}

/** Places orders that workers have to cancel. @returns those of which Redis was told before their deadline */
export async function placeLateCrowd(world: World): Promise<{ ids: ReadonlySet<string>; deadline: number }> {
  const endsAt = Date.now() + KNOWN_MS
  for (;;) {
    const { ids, deadline } = await placeCrowd(world, LATE)
    if (Date.now() < deadline) return { ids: new Set(ids), deadline }
    if (Date.now() > endsAt) throw new Error('expected to be able to tell Redis of an order in time')
  }
}

/** Waits until both probes of every living worker are green. @returns what is wrong */
export async function untilAllServe(world: World): Promise<string[]> {
  const endsAt = Date.now() + SHOWS_MS
  const probes = world.living.flatMap((worker) => ['/livez', '/readyz'].map((path) => ({ worker, path })))
  const wrong = probes.map(async ({ worker, path }) => {
    for (;;) {
      const answer = await fetch((await worker.url()) + path).catch(() => undefined)
      if (answer?.status === 200) return []
      if (Date.now() > endsAt) return [`I7: ${path} says ${answer?.status} at the end: ${await answer?.text()}`]
      await sleep(100)
    }
  })
  return (await Promise.all(wrong)).flat()
}

/** Waits until no job is left that a worker could take. @returns what is wrong */
export async function untilNoneDue(world: World): Promise<string[]> {
  const endsAt = Date.now() + SHOWS_MS
  for (;;) {
    const due = await world.countJobsDue(Date.now() - 1_000)
    if (due === 0) return []
    if (Date.now() > endsAt) return [`I6: ${due} due jobs are left that no worker takes`]
    await sleep(100)
  }
}
