import type { Config } from '../config.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Signals } from '../runtime/signals.ts'

/** What a command may use of the process it runs in. Commands never touch `process` themselves. */
export interface CommandContext {
  /** Reads and checks the settings. @throws {OrderExpiryError} INVALID_SETTINGS */
  readConfig(): Config
  /** Writes a line to standard output. */
  print(line: string): void
  /** Writes a line to standard error: how far a long run is. */
  progress(line: string): void
  /** Whether a person reads standard output as it is written. */
  readonly stdout: NodeJS.WriteStream
  /** The exit code, 0 unless set. */
  exitWith(code: number): void
  /** Ends the process at once. */
  exitNow(code: number): never
  /** Of this package. */
  readonly version: string
  readonly clock: Clock
  readonly signals: Signals
}
