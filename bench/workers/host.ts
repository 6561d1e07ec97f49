/** What a worker tells the bench. */
export type FromWorker =
  | { kind: 'ready' }
  /** Checks finished so far. */
  | { kind: 'finished'; count: number }
  /** Whether something has been taken that is not finished: at this moment, unlike the count above. */
  | { kind: 'busy'; busy: boolean }

/** What the bench asks a worker. */
export interface ToWorker {
  kind: 'busy'
}

const TELL_WITHIN_MS = 20

/** The bench, as a worker's process sees it. The process ends when the bench does. */
export class Host {
  /** Whether something has been taken that is not finished; to be set by workers that take away what they take. */
  isBusy = () => false
  #finished = 0
  #telling: NodeJS.Timeout | undefined

  constructor() {
    process.on('disconnect', () => process.exit())
    process.on('message', (message: ToWorker) => {
      if (message.kind === 'busy') tell({ kind: 'busy', busy: this.isBusy() })
    })
  }

  ready(): void {
    tell({ kind: 'ready' })
  }

  /** Told of soon, a few at a time; an idle worker has no timer, so that its idleness can be measured. */
  finished(count = 1): void {
    this.#finished += count
    this.#telling ??= setTimeout(() => {
      this.#telling = undefined
      tell({ kind: 'finished', count: this.#finished })
    }, TELL_WITHIN_MS)
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
