import { Command } from 'commander'
import { type Config, queueOf } from '../config.ts'
import { chooseStore } from '../daemon/parts.ts'
import { withRedis } from '../daemon/with-redis.ts'
import { FINDING_CODES, type Finding, finding } from '../doctor/finding.ts'
import { asOrderExpiryError } from '../errors.ts'
import { diagnoseQueue } from '../queue/diagnosis/queue.ts'
import { diagnoseRedis } from '../queue/diagnosis/redis.ts'
import type { Clock } from '../runtime/clock.ts'
import { diagnoseStore, KINDS } from '../stores/kinds.ts'
import type { CommandContext } from './context.ts'
import { countComplaints, describeFindings } from './doctor-report.ts'

/** `order-expiry doctor`: changes nothing. Exit code 1 if there is an error; warnings do not count. */
export function doctorCommand(context: CommandContext): Command {
  return new Command('doctor')
    .description('look for what keeps, or could keep, orders from being cancelled on time, and say what mends it')
    .option('--json', 'print JSON')
    .action(async (options: { json?: true }) => {
      const config = context.readConfig()
      const findings = inOrder(await diagnose(config, context.clock))
      const { errors, warnings } = countComplaints(findings)
      if (options.json) context.print(JSON.stringify({ errors, warnings, findings }, null, 2))
      else for (const line of describeFindings(findings)) context.print(line)
      context.exitWith(errors > 0 ? 1 : 0)
    })
}

const DRY_RUN = finding('warning', 'store-dry-run', {
  what: 'DRY_RUN is true',
  meaning: 'A daemon with these settings decides and reports, but cancels nothing.',
  fix: 'DRY_RUN=false',
})

async function diagnose(config: Config, clock: Clock): Promise<Finding[]> {
  const keepsOrders = KINDS[config.ORDER_STORE].recordsAs !== undefined
  const [inRedis, inStore] = await Promise.all([
    diagnoseInRedis({ config, keepsOrders, clock }),
    keepsOrders ? [] : diagnoseStore(chooseStore({ config, redisUrl: config.REDIS_URL ?? '' }), clock),
  ])
  return [...inRedis, ...inStore, ...(config.DRY_RUN ? [DRY_RUN] : [])]
}

async function diagnoseInRedis(options: { config: Config; keepsOrders: boolean; clock: Clock }): Promise<Finding[]> {
  const { config, keepsOrders, clock } = options
  const queue = queueOf(config)
  try {
    return await withRedis({ config, clock }, async (redis) => {
      const findings = await diagnoseRedis({ redis, keepsOrders, clock, queue })
      if (findings.some(({ code, level }) => code === 'redis-reachable' && level === 'error')) {
        return [...findings, ...skipped(keepsOrders)]
      }
      const [inQueue, store] = await Promise.all([
        diagnoseQueue({ redis, queue, clock }),
        keepsOrders ? diagnoseStore(chooseStore({ config, redisUrl: redis }), clock) : [],
      ])
      return [...findings, ...store, ...inQueue]
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
  const codes = keepsOrders ? (['store-reachable', 'queue-reachable'] as const) : (['queue-reachable'] as const)
  return codes.map((code) => finding('info', code, { what }))
}

function inOrder(findings: readonly Finding[]): Finding[] {
  return [...findings].sort((a, b) => FINDING_CODES.indexOf(a.code) - FINDING_CODES.indexOf(b.code))
}
