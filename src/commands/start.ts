import { createRequire } from 'node:module'
import { Command } from 'commander'
import { secretsOf } from '../config.ts'
import { asOrderExpiryError } from '../errors.ts'
import { EventBus } from '../observe/events.ts'
import { createLogger, logEvents } from '../observe/log.ts'
import { formatDuration } from '../runtime/duration.ts'
import { startWatchdog } from '../runtime/signals.ts'
import { KINDS } from '../stores/kinds.ts'
import type { CommandContext } from './context.ts'

/** What the ordered stop leaves to the watchdog: it bites only if the stop itself is broken. */
const WATCHDOG_SLACK_MS = 1_000

/** `order-expiry start`: the daemon. Exit code 0 after an ordered stop, whatever was down then; 1 if it could not start. */
export function startCommand(context: CommandContext): Command {
  return new Command('start').description('run the daemon until SIGTERM or SIGINT').action(async () => {
    const { clock } = context
    const config = context.readConfig()
    const logger = createLogger({
      stdout: context.stdout,
      level: config.LOG_LEVEL,
      secrets: secretsOf(config),
      pretty: !config.production && context.stdout.isTTY && hasPretty(),
    })
    const events = new EventBus()
    logEvents({ events, logger, clock })

    const starting = new AbortController()
    let ask: (reason: string) => void = () => {}
    const asked = new Promise<string>((resolve) => {
      ask = resolve
    })
    const stopBefore = () =>
      startWatchdog({
        ms: config.SHUTDOWN_TIMEOUT + WATCHDOG_SLACK_MS,
        clock,
        onBite: () => {
          logger.fatal(
            `not stopped after SHUTDOWN_TIMEOUT (${formatDuration(config.SHUTDOWN_TIMEOUT)}): ending at once`,
          )
          context.exitNow(1)
        },
      })
    context.signals.listen({
      onFirst: (signal) => {
        stopBefore()
        starting.abort(new Error(signal))
        ask(signal)
      },
      onSecond: (signal, exitCode) => {
        logger.warn(`${signal} again: ending at once`)
        context.exitNow(exitCode)
      },
    })

    const { createDaemon } = await import('../daemon/daemon.ts') // most commands need little of it, and start at once
    const daemon = await createDaemon({ config, version: context.version, events, clock })
    let failed = false
    try {
      await daemon.start(starting.signal)
      if (KINDS[config.ORDER_STORE].recordsAs && !config.REDIS_URL) {
        logger.info('try it: npx order-expiry schedule order-1 --timeout 10s')
      }
    } catch (error) {
      if (!starting.signal.aborted) {
        failed = true
        const { code, message } = asOrderExpiryError(error)
        logger.fatal({ code }, message)
        stopBefore()
        ask(code)
      }
    }

    const reason = await asked
    events.emit('stopping', { reason })
    await daemon.stop(config.SHUTDOWN_TIMEOUT)
    context.exitWith(failed ? 1 : 0)
  })
}

/** pino-pretty is there in development only. */
function hasPretty(): boolean {
  try {
    createRequire(import.meta.url).resolve('pino-pretty')
    return true
  } catch {
    return false
  }
}
