import { type FaultCase, KNOWN_MS } from '../harness/fault-case.ts'
import type { Rule } from '../harness/fault-proxy.ts'
import { crowd, during, SOON, STEADY, underLoad } from '../harness/workload.ts'
import { REDIS_MARKS, type World } from '../harness/world.ts'

/** A worker alone, so that nobody else does its work, loses the connection on which requests of this kind go. */
function halfOpen(name: string, pick: (world: World) => { blackHole(): void }[]): FaultCase {
  return {
    name,
    injected: 'the proxy swallows both directions for ever and leaves the socket open; no other worker is there',
    promise: 'within 30 s',
    boundMs: KNOWN_MS,
    seconds: 60,
    world: { workers: 1, env: { SWEEP_EVERY: '20s' } },
    run: (world) =>
      during(world, STEADY, async () => {
        await underLoad(world)
        const connections = pick(world)
        if (connections.length === 0) throw new Error('expected such a connection')
        for (const connection of connections) connection.blackHole()
      }),
  }
}

function lostReplyToAnAdd(action: Rule['action'], how: string): FaultCase {
  return {
    name: `lost reply to an add, ${how}`,
    injected: `the proxy swallows what Redis answers to an add; then the connection is ${how}`,
    promise: 'within 30 s, and nothing twice',
    boundMs: KNOWN_MS,
    seconds: 15,
    world: { workers: 1, env: { SWEEP_EVERY: '20s' } },
    run: (world) =>
      during(world, SOON, async () => {
        const { hit } = world.producersToRedis.intercept({
          matches: (request) => REDIS_MARKS.add.test(request),
          action,
        })
        await crowd(world, { orders: 30, inMs: 1_000 })
        await hit
      }),
  }
}

export const redisConnectionCases: FaultCase[] = [
  halfOpen('the blocking connection of a worker half open', ({ toRedis }) => toRedis.withMark('blocking')),
  halfOpen('the command connection of a worker half open', ({ toRedis }) => toRedis.withMark('fetch')),
  halfOpen('all Redis connections of a worker half open', ({ toRedis }) => [...toRedis.connections]),
  halfOpen('the connection of a producer half open', ({ producersToRedis }) => producersToRedis.withMark('add')),
  lostReplyToAnAdd('lose-reply', 'cut'),
  lostReplyToAnAdd('lose-reply-half-open', 'half open'),
]
