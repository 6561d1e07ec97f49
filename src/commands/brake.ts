import { userInfo } from 'node:os'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { RedisBrake } from '../brake/redis-brake.ts'
import type { BrakeStatus } from '../brake/shared-brake.ts'
import { withBrake } from '../daemon/with-redis.ts'
import { DURATION_FORMAT, parseDuration } from '../runtime/duration.ts'
import type { CommandContext } from './context.ts'
import { printsResult } from './result.ts'

const LONGEST_TEXT = 200

/** `order-expiry brake status | engage | release`: the mass-cancel brake of all processes. */
export function brakeCommand(context: CommandContext): Command {
  const silence = 'do not engage by itself for this long, so that held-back orders can be cancelled'
  const command = new Command('brake').description(
    'the mass-cancel brake: while it is engaged, no process cancels an order',
  )

  add('status', 'print whether it is engaged, why and since when', (brake) => brake.status())
  const by = () =>
    new Option('--by <name>', 'who asks, for those who look at it later (default: the user)').argParser(asText)
  const reason = new Option('--reason <text>', 'why, for those who look at it later')
    .default('manual')
    .argParser(asText)
  add('engage', 'stop all cancellations; checks continue and wait', (brake, given) =>
    brake.engage('manual', given.by ?? whoAsks(), given.reason),
  )
    .addOption(reason)
    .addOption(by())
  add('release', 'cancel orders again', (brake, given) => brake.release(given.by ?? whoAsks(), given.for))
    .addOption(new Option('--for <duration>', silence).default(600_000, '10m').argParser(asDuration))
    .addOption(by())
  return command

  function add(
    name: string,
    description: string,
    work: (brake: RedisBrake, given: Options) => Promise<BrakeStatus>,
  ): Command {
    const added = command.command(name).description(description)
    return printsResult(context, added, async (given: Options) => {
      const { clock } = context
      const config = context.readConfig()
      const status = await withBrake({ config, clock }, (brake) => work(brake, given))
      return { result: describe(status, config.BRAKE_MAX_PER_MINUTE, clock.now()) }
    })
  }
}

/** Those of them that a command has. */
interface Options {
  reason: string
  by?: string
  /** Milliseconds. */
  for: number
}

function describe(status: BrakeStatus, maxPerMinute: number | undefined, now: number) {
  const { engaged, reason, by, since, suspendedUntil = 0, lastMinute } = status
  return {
    brake: engaged ? 'engaged' : 'released',
    reason,
    by,
    since: since && new Date(since),
    suspendedUntil: suspendedUntil > now ? new Date(suspendedUntil) : undefined,
    maxPerMinute: maxPerMinute ?? 'off',
    lastMinute: maxPerMinute && lastMinute,
  }
}

/** In a container, a user need not have a name. */
function whoAsks(): string {
  try {
    return userInfo().username
  } catch {
    return `user ${process.getuid?.()}`
  }
}

/** It is shown wherever the brake is: on the overview, in verdicts and in each line of the log about it. */
function asText(text: string): string {
  const { length } = text.trim()
  if (length === 0 || length > LONGEST_TEXT) {
    throw new InvalidArgumentError(`Expected 1 to ${LONGEST_TEXT} characters, given ${length}.`)
  }
  return text.trim()
}

function asDuration(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined) throw new InvalidArgumentError(`Expected ${DURATION_FORMAT}.`)
  return ms
}
