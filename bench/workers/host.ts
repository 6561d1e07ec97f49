/** What a worker tells the bench. */
export type FromWorker =
  | { kind: 'ready' }
  /** Checks finished so far. */
  | { kind: 'finished'; count: number }
  /** Whether something has been taken that is not finished: at this moment, unlike the count above. */
  | { kind: 'busy'; busy: boolean }
  /** When each check was run, in epoch milliseconds by order. */
  | { kind: 'ran-at'; ranAt: Map<string, number> }

export type ToWorker = { kind: 'ran-at' } | { kind: 'busy' }

const TELL_EVERY_MS = 20

/** The bench, as a worker's process sees it. The process ends when the bench does. */
export class Host {
  readonly ranAt = new Map<string, number>()
  /** Whether something has been taken that is not finished; to be set by workers that take away what they take. */
  isBusy = () => false
  #finished = 0
  #told = 0

  constructor() {
    process.on('disconnect', () => process.exit())
    process.on('message', (message: ToWorker) => {
      if (message.kind === 'ran-at') tell({ kind: 'ran-at', ranAt: this.ranAt })
      else tell({ kind: 'busy', busy: this.isBusy() })
    })
    setInterval(() => {
      if (this.#finished === this.#told) return
      this.#told = this.#finished
      tell({ kind: 'finished', count: this.#finished })
    }, TELL_EVERY_MS)
  }

  ready(): void {
    tell({ kind: 'ready' })
  }

  finished(count = 1): void {
    this.#finished += count
  }
}

/** A setting from the environment. */
export function setting(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`expected ${name} to be set`)
  return value
}

function tell(message: FromWorker): void {
  process.send?.(message)
}
