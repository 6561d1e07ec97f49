import { Command } from 'commander'
import { type Config, queueOf } from '../config.ts'
import { chooseStore } from '../daemon/parts.ts'
import { withRedis } from '../daemon/with-redis.ts'
import { FINDING_CODES, type Finding, type FindingCode, finding } from '../doctor/finding.ts'
import { asOrderExpiryError } from '../errors.ts'
import { diagnoseQueue } from '../queue/diagnosis/queue.ts'
import { diagnoseRedis } from '../queue/diagnosis/redis.ts'
import type { Clock } from '../runtime/clock.ts'
import { diagnoseStore, KINDS } from '../stores/kinds.ts'
import type { CommandContext } from './context.ts'
import { countComplaints, describeFindings } from './doctor-report.ts'
import { printResult } from './result.ts'

/** `order-expiry doctor`: changes nothing. Exit code 1 if there is an error; warnings do not count. */
export function doctorCommand(context: CommandContext): Command {
  return new Command('doctor')
    .description('look for what keeps, or could keep, orders from being cancelled on time, and say what mends it')
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: true }) => {
      const findings = await diagnose(context.readConfig(), context.clock)
      findings.sort((a, b) => FINDING_CODES.indexOf(a.code) - FINDING_CODES.indexOf(b.code))
      const { errors, warnings } = countComplaints(findings)
      const result = { errors, warnings, findings }
      printResult({ context, json, result, lines: describeFindings(findings), isSuccess: errors === 0 })
    })
}

const DRY_RUN = finding('warning', 'store-dry-run', {
  what: 'DRY_RUN is true',
  meaning: 'A daemon with these settings decides and reports, but cancels nothing.',
  fix: 'DRY_RUN=false',
})

async function diagnose(config: Config, clock: Clock): Promise<Finding[]> {
  const inStore = (redisUrl = '') => diagnoseStore(chooseStore({ config, redisUrl }), clock)
  const keepsOrders = KINDS[config.ORDER_STORE].recordsAs !== undefined
  const found = await Promise.all([
    keepsOrders ? diagnoseInRedis({ config, clock, inStore }) : diagnoseInRedis({ config, clock }),
    keepsOrders ? [] : inStore(),
    config.DRY_RUN ? [DRY_RUN] : [],
  ])
  return found.flat()
}

/** @param options.inStore looks into a store in Redis, which can only be looked at once Redis is known to work */
async function diagnoseInRedis(options: {
  config: Config
  clock: Clock
  inStore?: (redisUrl: string) => Promise<Finding[]>
}): Promise<Finding[]> {
  const { config, clock, inStore } = options
  const queue = queueOf(config)
  const keepsOrders = inStore !== undefined
  try {
    return await withRedis({ config, clock }, async (redis) => {
      const findings = await diagnoseRedis({ redis, keepsOrders, clock, queue })
      if (findings.some(({ code, level }) => code === 'redis-reachable' && level === 'error')) {
        return [...findings, ...skipped(keepsOrders)]
      }
      const found = await Promise.all([diagnoseQueue({ redis, queue, clock }), inStore?.(redis) ?? []])
      return [...findings, ...found.flat()]
    })
  } catch (error) {
    const { message } = asOrderExpiryError(error)
    const meaning = 'No order can be scheduled, and none is looked at on time.'
    const fix = '# set REDIS_URL to a Redis of your own, or mend the embedded one'
    return [finding('error', 'redis-reachable', { what: message, meaning, fix }), ...skipped(keepsOrders)]
  }
}

function skipped(keepsOrders: boolean): Finding[] {
  const what = 'not looked at, because Redis cannot be used'
  const codes: FindingCode[] = keepsOrders ? ['store-reachable', 'queue-reachable'] : ['queue-reachable']
  return codes.map((code) => finding('info', code, { what }))
}
