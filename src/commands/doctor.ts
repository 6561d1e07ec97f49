import { Command } from 'commander'
import { type Config, queueOf } from '../config.ts'
import { chooseStore } from '../daemon/parts.ts'
import { withRedis } from '../daemon/with-redis.ts'
import { FINDING_CODES, type Finding, type FindingCode, finding } from '../doctor/finding.ts'
import { asOrderExpiryError } from '../errors.ts'
import { diagnoseQueue } from '../queue/diagnosis/queue.ts'
import { diagnoseRedis } from '../queue/diagnosis/redis.ts'
import type { RedisAddress } from '../redis/address.ts'
import type { Clock } from '../runtime/clock.ts'
import { diagnoseStore, KINDS } from '../stores/kinds.ts'
import type { CommandContext } from './context.ts'
import { countComplaints, describeFindings } from './doctor-report.ts'
import { printsResult } from './result.ts'

/** `order-expiry doctor`: changes nothing. Exit code 1 if there is an error; warnings do not count. */
export function doctorCommand(context: CommandContext): Command {
  const purpose = 'find what keeps, or could keep, orders from being cancelled on time, and how to fix it'
  return printsResult(context, new Command('doctor').description(purpose), async () => {
    const findings = await diagnose(context.readConfig(), context.clock)
    findings.sort((a, b) => FINDING_CODES.indexOf(a.code) - FINDING_CODES.indexOf(b.code))
    const complaints = countComplaints(findings)
    const result = { ...complaints, findings }
    return { result, lines: describeFindings(findings), isSuccess: complaints.errors === 0 }
  })
}

async function diagnose(config: Config, clock: Clock): Promise<Finding[]> {
  const queue = queueOf(config)
  const keepsOrders = KINDS[config.ORDER_STORE].recordsAs !== undefined
  const inStore = (redisAddress: RedisAddress = '') =>
    diagnoseStore(chooseStore({ config, redisAddress, access: 'read' }), clock)
  const notLookedAt: FindingCode[] = keepsOrders ? ['store-reachable', 'queue-reachable'] : ['queue-reachable']
  const what = 'not checked, because Redis cannot be used'
  const unusable: readonly FindingCode[] = ['redis-reachable', 'redis-cluster']
  const skipped = notLookedAt.map((code) => finding('info', code, { what }))

  const inRedis = withRedis({ config, clock }, async (redis) => {
    const findings = await diagnoseRedis({ redis, keepsOrders, clock, queue })
    const isAway = findings.some(({ code, level }) => unusable.includes(code) && level === 'error')
    if (isAway) return [...findings, ...skipped]
    const inQueue = diagnoseQueue({ redis, queue, keepsOrders, clock })
    const others = await Promise.all([inQueue, keepsOrders ? inStore(redis) : []])
    return [...findings, ...others.flat()]
  })
  const noRedis = (error: unknown) =>
    finding('error', 'redis-reachable', {
      what: asOrderExpiryError(error).message,
      meaning: 'No order can be scheduled, and none is checked on time.',
      fix: '# set REDIS_URL to the Redis of your shop; without one, the daemon that runs in this folder keeps its own',
    })
  const orNone = inRedis.catch((error) => [noRedis(error), ...skipped])
  const found = await Promise.all([orNone, keepsOrders ? [] : inStore()])
  const dryRun = finding('warning', 'store-dry-run', {
    what: 'DRY_RUN is true',
    meaning: 'A daemon with these settings decides and reports, but cancels nothing.',
    fix: 'DRY_RUN=false',
  })
  return [...found.flat(), ...(config.DRY_RUN ? [dryRun] : [])]
}
