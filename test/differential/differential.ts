import { jest } from '@jest/globals'
import fc from 'fast-check'
import { differences, hasRepetitionDue, whyNotWoken } from './compare.ts'
import { HOUR_MS, LIMIT_MS, program, type Step } from './program.ts'
import type { Side } from './side.ts'

/** A program begins so long after the one before it that nothing of that one matters. */
const APART_MS = 2 * HOUR_MS

/** The same programs, by BullMQ's Worker and by others. */
export class Differential {
  readonly #theirs: Side
  readonly #others: readonly Side[]
  #now = 1_700_000_000_000

  private constructor(theirs: Side, others: readonly Side[]) {
    this.#theirs = theirs
    this.#others = others
  }

  static async open(theirs: Side, others: readonly Side[]): Promise<Differential> {
    for (const side of [theirs, ...others]) await side.open()
    return new Differential(theirs, others)
  }

  async close(): Promise<void> {
    for (const side of [this.#theirs, ...this.#others]) await side.close()
  }

  /** Runs random programs until one shows a difference, and shrinks that one. @returns what differs, and how to see it again */
  async search(options: {
    seed: number
    numRuns: number
    path?: string | undefined
    shrinks?: boolean
  }): Promise<string | undefined> {
    const { seed, numRuns, path, shrinks = true } = options
    const property = fc.asyncProperty(program, async (steps) => {
      const difference = await this.run(steps)
      if (difference) throw new Error(difference)
    })
    const result = await fc.check(property, { seed, numRuns, endOnFailure: !shrinks, ...(path && { path }) })
    if (!result.failed) return undefined
    const [steps] = result.counterexample as [Step[]]
    return [
      (result.errorInstance as Error).message,
      ...steps.map((step, n) => `${n} ${JSON.stringify(step)}`),
      `run it again: DIFFERENTIAL_SEED=${result.seed} DIFFERENTIAL_PATH=${result.counterexamplePath}`,
    ].join('\n')
  }

  /** @returns what differs after the first step after which something does */
  async run(steps: readonly Step[]): Promise<string | undefined> {
    const sides = [this.#theirs, ...this.#others]
    this.#now += APART_MS
    const clock = jest.spyOn(Date, 'now').mockImplementation(() => this.#now)
    try {
      await Promise.all(sides.map((side) => side.begin()))
      for (const [n, step] of steps.entries()) {
        this.#now += await this.#passed(step)
        const told = await Promise.all(sides.map((side) => side.take(step, n)))
        const found = await this.#compare(told)
        if (found.length > 0) return [`after step ${n}, ${step.kind}:`, ...found].join('\n')
      }
      return undefined
    } finally {
      clock.mockRestore()
    }
  }

  async #passed(step: Step): Promise<number> {
    if (step.kind === 'pass') return step.ms
    // Its end is that of Redis, by its own clock; the Worker, which has been told of it, goes by the other one.
    if (step.kind === 'rate limit is over' || step.kind === 'limit rate') return 2 * LIMIT_MS
    if (step.kind !== 'pass an hour') return 0
    // BullMQ adds a repetition between two jobs, ours between two claims: one that is due at once would come in another order.
    return hasRepetitionDue(await this.#theirs.snapshot(), this.#now) ? 0 : HOUR_MS
  }

  async #compare(told: readonly string[]): Promise<string[]> {
    const [theirs, ...others] = await Promise.all([this.#theirs, ...this.#others].map((side) => side.snapshot()))
    return others.flatMap((ours, n) => {
      const side = this.#others[n] as Side
      const found = theirs ? [...differences(theirs, ours), ...whyNotWoken(theirs, ours, side.known, this.#now)] : []
      if (told[n + 1] !== told[0]) found.unshift(`theirs told ${told[0]}\n  ours told ${told[n + 1]}`)
      return found.map((each) => `${side.called}: ${each}`)
    })
  }
}
