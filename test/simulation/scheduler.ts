import { hashOf, Random } from '../helpers/random.ts'

interface Task {
  at: number
  who: string
  what: string
  run: () => void
}

/**
 * The only source of time and order in a simulation. Whatever waits is a task here; of those whose time has come, the seed
 * picks the next one, and each has done all it can before another is picked. Time stands still meanwhile.
 */
export class Scheduler {
  /** Milliseconds since the beginning of the run. */
  now = 0
  /** What has happened, for people. */
  readonly trace: string[] = []
  readonly #random: Random
  readonly #tasks = new Set<Task>()
  #steps = 0
  #fingerprint = 0
  /** The hash of each label. */
  readonly #labels = new Map<string, number>()

  constructor(seed: number) {
    this.#random = new Random(seed, 'scheduler')
  }

  get steps(): number {
    return this.#steps
  }

  /** The same for two runs only if the same tasks have run in the same order. */
  get fingerprint(): number {
    return this.#fingerprint
  }

  /** @returns takes the task out again */
  at(time: number, who: string, what: string, run: () => void): () => void {
    const task = { at: Math.max(time, this.now), who, what, run }
    this.#tasks.add(task)
    return () => this.#tasks.delete(task)
  }

  /** Resolves at the time; never rejects. */
  wait(ms: number, who: string, what: string): Promise<void> {
    return new Promise((resolve) => this.at(this.now + ms, who, what, resolve))
  }

  note(who: string, what: string): void {
    this.trace.push(`${(this.now / 1_000).toFixed(3).padStart(8)} s  ${who.padEnd(6)} ${what}`)
  }

  /** Runs tasks until the time, or until nothing more is to be expected. */
  async run(until: number, isDone: () => boolean): Promise<void> {
    for (;;) {
      let { ready, next } = this.#look()
      if (ready.length === 0) {
        await turn() // the batcher gathers for a turn of the event loop, which takes no time
        ;({ ready, next } = this.#look())
      }
      const task = ready[Math.floor(this.#random.next() * ready.length)]
      if (task) {
        this.#tasks.delete(task)
        this.#steps++
        this.#mix(this.#numberOf(task.who))
        this.#mix(this.#numberOf(task.what))
        task.run()
        await turn()
        continue
      }
      if (isDone() || next > until) return
      this.now = next
    }
  }

  #mix(number: number): void {
    this.#fingerprint = Math.imul(this.#fingerprint ^ number, 0x01000193) + 1
  }

  #numberOf(label: string): number {
    let number = this.#labels.get(label)
    if (number !== undefined) return number
    number = hashOf(label)
    this.#labels.set(label, number)
    return number
  }

  /** The tasks whose time has come, and when that of the next one comes. */
  #look(): { ready: Task[]; next: number } {
    const ready: Task[] = []
    let next = Number.POSITIVE_INFINITY
    for (const task of this.#tasks) {
      if (task.at <= this.now) ready.push(task)
      else if (task.at < next) next = task.at
    }
    return { ready, next }
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
