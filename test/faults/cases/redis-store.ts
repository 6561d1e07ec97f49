import { atStatement } from '../harness/at-statement.ts'
import { type FaultCase, KNOWN_MS } from '../harness/fault-case.ts'
import type { Rule } from '../harness/fault-proxy.ts'
import { crowd, during, SOON_RECORDED, STEADY_RECORDED } from '../harness/workload.ts'
import type { WorldOptions } from '../harness/world.ts'
import { cutOff, killAndRestart } from './redis.ts'

/** Only the script that cancels has it. */
const SETTLING = /'order\.cancelled'/
const RECORDED: WorldOptions = { orders: 'redis', env: { SWEEP_EVERY: '20s' } }

function killed(when: string, action: Rule['action'], injected: string): FaultCase {
  return {
    name: `orders in Redis: worker killed ${when} the settling script`,
    injected,
    promise: 'nothing twice; what it had in hand within 30 s, by another worker',
    boundMs: KNOWN_MS,
    seconds: 30,
    world: { ...RECORDED, workers: 1 },
    run: (world) =>
      atStatement(world, {
        statement: SETTLING,
        action,
        on: 'toRedis',
        workload: SOON_RECORDED,
        fault: (victim) => world.kill(victim),
      }),
  }
}

function lostReply(action: Rule['action'], how: string): FaultCase {
  return {
    name: `orders in Redis: lost reply to the settling script, ${how}`,
    injected: `the proxy swallows what Redis answers to the script that cancels; then the connection is ${how}`,
    promise: 'nothing twice, within 30 s',
    boundMs: KNOWN_MS,
    seconds: 20,
    world: { ...RECORDED, workers: 1 },
    run: (world) =>
      during(world, SOON_RECORDED, async () => {
        const { hit } = world.toRedis.intercept({ matches: (request) => SETTLING.test(request), action })
        await crowd(world, { orders: 30, inMs: 1_000 })
        await hit
      }),
  }
}

/** The library records the orders: there is no other witness than what it answers, and what Redis has in the end. */
export const redisStoreCases: FaultCase[] = [
  {
    name: 'orders in Redis: killed and restarted from its append-only file',
    injected: 'SIGKILL under load, with appendfsync always; started again on the same files after 1 s',
    promise: 'no answer to schedule, reschedule or pay is forgotten; within 30 s of its return',
    boundMs: KNOWN_MS,
    seconds: 25,
    world: RECORDED,
    run: (world) =>
      during(world, STEADY_RECORDED, async () => {
        // With everysec, Redis may answer before it has written, while the disk is busy.
        await world.admin.config('SET', 'appendfsync', 'always')
        await killAndRestart(world)
      }),
  },
  killed('before', 'hold', 'SIGKILL while the proxy holds the script that cancels back from Redis'),
  killed('after', 'hold-reply', 'SIGKILL while the proxy holds back the answer to the script that cancels'),
  {
    name: 'orders in Redis: away for 14 s',
    injected: 'the proxies cut all connections of workers and producers and refuse new ones',
    promise: 'no answer is forgotten; within 30 s of its return; meanwhile /livez is green and /readyz red',
    boundMs: KNOWN_MS,
    seconds: 30,
    world: RECORDED,
    run: (world) => during(world, STEADY_RECORDED, () => cutOff(world, 14).then(() => Date.now())),
  },
  lostReply('lose-reply', 'cut'),
  lostReply('lose-reply-half-open', 'half open'),
]
