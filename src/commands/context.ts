import type { Config } from '../config.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Signals } from '../runtime/signals.ts'
import type { EnvFileChoice } from '../settings/env-file.ts'

/** What a command may use of the process it runs in. Commands never touch `process` themselves. */
export interface CommandContext {
  /**
   * Reads and checks the settings.
   *
   * @param asked.onEnvFile told of the file that they come from as well, if there is one. Default: standard error says so
   * @param asked.only `tables`: the settings of other parts do not matter
   * @throws {OrderExpiryError} INVALID_SETTINGS
   */
  readConfig(asked?: { onEnvFile?: (path: string) => void; only?: 'tables' }): Config
  /** As the options of the command line say. */
  chooseEnvFile(choice: EnvFileChoice): void
  /** Writes one line to standard output; what a terminal would obey, or not show, is made visible. */
  print(line: string): void
  /** The same to standard error: the progress of a long run. */
  progress(line: string): void
  readonly stdout: NodeJS.WriteStream
  exitWith(code: number): void
  exitNow(code: number): never
  readonly version: string
  readonly clock: Clock
  readonly signals: Signals
}

/** Is aborted by the first signal, which sets the exit code too. A second one ends the process at once. */
export function stopSignal({ signals, exitWith, exitNow }: CommandContext): AbortSignal {
  const stop = new AbortController()
  signals.listen({
    onFirst(_, exitCode) {
      exitWith(exitCode)
      stop.abort(new Error('asked to stop'))
    },
    onSecond: (_, exitCode) => exitNow(exitCode),
  })
  return stop.signal
}
