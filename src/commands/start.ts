import { once } from 'node:events'
import { createRequire } from 'node:module'
import { Command } from 'commander'
import { secretsOf } from '../config.ts'
import { asOrderExpiryError } from '../errors.ts'
import { EventBus } from '../observe/events.ts'
import { createLogger, logEvents } from '../observe/log.ts'
import { formatDuration } from '../runtime/duration.ts'
import { KINDS } from '../stores/kinds.ts'
import type { CommandContext } from './context.ts'

/** The watchdog bites this long after the time for an ordered stop is over: only if the stop itself is broken. */
const WATCHDOG_SLACK_MS = 1_000

/** `order-expiry start`: the daemon. Exit code 0 after an ordered stop, whatever was down then; 1 if it could not start. */
export function startCommand(context: CommandContext): Command {
  return new Command('start').description('run the daemon until SIGTERM or SIGINT').action(async () => {
    const { clock, version, stdout } = context
    let envFile: string | undefined
    const config = context.readConfig({
      onEnvFile(path) {
        envFile = path
      },
    })
    const logger = createLogger({
      stdout,
      level: config.LOG_LEVEL,
      secrets: secretsOf(config),
      pretty: !config.production && stdout.isTTY && hasPretty(),
    })
    logger.info({ version, dryRun: config.DRY_RUN, claims: config.CLAIMS, ...(envFile && { envFile }) }, 'starting')
    const events = new EventBus()
    logEvents({ events, logger, clock })
    const { stopping, stop } = createStop(context, logger, config.SHUTDOWN_TIMEOUT)

    const { createDaemon } = await import('../daemon/daemon.ts') // most commands need little of it, and start at once
    const daemon = await createDaemon({ config, version, events, clock })
    try {
      await daemon.start(stopping)
      if (KINDS[config.ORDER_STORE].recordsAs && !config.REDIS_URL) {
        logger.info('try it: npx order-expiry schedule order-1 --timeout 10s')
      }
    } catch (error) {
      if (!stopping.aborted) {
        const { code, message } = asOrderExpiryError(error)
        logger.fatal({ code }, message)
        context.exitWith(1)
        stop(code)
      }
    }

    if (!stopping.aborted) await once(stopping, 'abort')
    events.emit('stopping', { reason: stopping.reason.message })
    await daemon.stop(config.SHUTDOWN_TIMEOUT)
  })
}

/** `stopping` is aborted by the first signal, or by `stop`. From then on a watchdog bounds the stop. */
function createStop(context: CommandContext, logger: ReturnType<typeof createLogger>, timeoutMs: number) {
  const stopping = new AbortController()
  const endAtOnce = () => {
    logger.fatal(`not stopped after SHUTDOWN_TIMEOUT (${formatDuration(timeoutMs)}): ending at once`)
    context.exitNow(1)
  }
  const stop = (reason: string) => {
    void context.clock.sleep(timeoutMs + WATCHDOG_SLACK_MS).then(endAtOnce)
    stopping.abort(new Error(reason))
  }
  context.signals.listen({
    onFirst: stop,
    onSecond: (signal, exitCode) => {
      logger.warn(`${signal} again: ending at once`)
      context.exitNow(exitCode)
    },
  })
  return { stopping: stopping.signal, stop }
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
