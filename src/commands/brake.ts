import { userInfo } from 'node:os'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { RedisBrake } from '../brake/redis-brake.ts'
import type { BrakeStatus } from '../brake/shared-brake.ts'
import { withBrake } from '../daemon/with-redis.ts'
import { DURATION_FORMAT, parseDuration } from '../runtime/duration.ts'
import type { CommandContext } from './context.ts'
import { printResult } from './result.ts'

interface BrakeOptions {
  json?: true
}

/** `order-expiry brake status | engage | release`: the mass-cancel brake of all processes. */
export function brakeCommand(context: CommandContext): Command {
  const status = command('status', 'print whether it is engaged, why and since when').action((options: BrakeOptions) =>
    run(context, options, (brake) => brake.status()),
  )
  const engage = command('engage', 'stop all cancellations; checks go on and wait').action((options: BrakeOptions) =>
    run(context, options, (brake) => brake.engage('manual', whoAsks())),
  )
  const silence = new Option(
    '--for <duration>',
    'for this long it does not engage by itself, so that what was held back can be cancelled',
  )
  const release = command('release', 'cancel orders again')
    .addOption(silence.default(600_000, '10m').argParser(asDuration))
    .action((options: BrakeOptions & { for: number }) =>
      run(context, options, (brake) => brake.release(whoAsks(), options.for)),
    )
  return new Command('brake')
    .description('the mass-cancel brake: while it is engaged, no process cancels an order')
    .addCommand(status)
    .addCommand(engage)
    .addCommand(release)
}

function command(name: string, description: string): Command {
  return new Command(name).description(description).option('--json', 'print JSON')
}

async function run(
  context: CommandContext,
  { json }: BrakeOptions,
  work: (brake: RedisBrake) => Promise<BrakeStatus>,
): Promise<void> {
  const { clock } = context
  const config = context.readConfig()
  const maxPerMinute = config.BRAKE_MAX_PER_MINUTE
  const { engaged, reason, by, since, suspendedUntil = 0, lastMinute } = await withBrake({ config, clock }, work)
  const result = {
    brake: engaged ? 'engaged' : 'released',
    reason,
    by,
    since: since && new Date(since),
    suspendedUntil: suspendedUntil > clock.now() ? new Date(suspendedUntil) : undefined,
    maxPerMinute: maxPerMinute ?? 'off',
    lastMinute: maxPerMinute && lastMinute,
  }
  printResult({ context, json, result })
}

/** Who engages or releases it, for those who look at it later. */
function whoAsks(): string {
  return userInfo().username
}

function asDuration(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined) throw new InvalidArgumentError(`Expected ${DURATION_FORMAT}.`)
  return ms
}
