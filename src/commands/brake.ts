import { userInfo } from 'node:os'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { BrakeStatus } from '../brake/shared-brake.ts'
import { withBrake } from '../daemon/with-redis.ts'
import { DURATION_FORMAT, parseDuration } from '../runtime/duration.ts'
import type { CommandContext } from './context.ts'
import { printResult } from './result.ts'

/** `order-expiry brake status | engage | release`: the mass-cancel brake of all processes. */
export function brakeCommand(context: CommandContext): Command {
  return new Command('brake')
    .description('the mass-cancel brake: while it is engaged, no process cancels an order')
    .addCommand(
      command('status', 'print whether it is engaged, why and since when').action((options: { json?: true }) =>
        run(context, options, (brake) => brake.status()),
      ),
    )
    .addCommand(
      command('engage', 'stop all cancellations; checks go on and wait').action((options: { json?: true }) =>
        run(context, options, (brake) => brake.engage('manual', whoAsks())),
      ),
    )
    .addCommand(
      command('release', 'cancel orders again')
        .addOption(
          new Option(
            '--for <duration>',
            'so long it does not engage by itself, so that what has been held back can be cancelled',
          )
            .default(600_000, '10m')
            .argParser(asDuration),
        )
        .action((options: { json?: true; for: number }) =>
          run(context, options, (brake) => brake.release(whoAsks(), options.for)),
        ),
    )
}

function command(name: string, description: string): Command {
  return new Command(name).description(description).option('--json', 'print JSON')
}

async function run(
  context: CommandContext,
  options: { json?: true },
  work: (brake: Parameters<Parameters<typeof withBrake>[1]>[0]) => Promise<BrakeStatus>,
): Promise<void> {
  const config = context.readConfig()
  const status = await withBrake({ config, clock: context.clock }, work)
  const { engaged, reason, by, since, suspendedUntil, lastMinute } = status
  const isSuspended = suspendedUntil !== undefined && suspendedUntil > context.clock.now()
  const result = {
    brake: engaged ? 'engaged' : 'released',
    ...(reason && { reason }),
    ...(by && { by }),
    ...(since && { since: new Date(since) }),
    ...(isSuspended && { suspendedUntil: new Date(suspendedUntil) }),
    maxPerMinute: config.BRAKE_MAX_PER_MINUTE ?? 'off',
    ...(config.BRAKE_MAX_PER_MINUTE !== undefined && { lastMinute }),
  }
  printResult({ context, json: options.json, result, isSuccess: true })
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
