import type { Contender } from './contender.ts'
import type { Servers } from './servers.ts'

/** One number, or a distribution, that a contender was measured at, in one round of one question. */
export interface Measured {
  question: string
  contender: string
  /** What tells apart the cases of a question, such as `1,000/s`; empty where there is only one. */
  case: string
  /** From 1. */
  round: number
  /** By the keys of the question's {@link Column}s. */
  figures: Record<string, number>
  /** What a plot is drawn from, such as lateness in milliseconds; sorted, at most 1,000 values (evenly spaced quantiles). */
  samples?: number[]
}

/** A figure of a question. The report shows the median over the rounds. */
export interface Column {
  key: string
  title: string
  unit: string
  better: 'more' | 'less'
  /** Decimals shown; default 0. */
  decimals?: number
}

export interface Context {
  servers: Servers
  /** Those that were asked for, in the order of this round: each round begins with another. */
  contenders: readonly Contender[]
  /** Less of everything, to see that the bench itself works; its figures are worth nothing. */
  quick: boolean
  round: number
  /** How long a long question takes. */
  minutes: number
  /** Shown while it runs, replaced by the next. */
  progress(text: string): void
  /** Shown and kept: a contender could not be measured. */
  warn(text: string): void
}

/** One question, in one file, that is put to each contender in turn. */
export interface Question {
  name: string
  /** One sentence: what is done, and what is measured. */
  title: string
  columns: Column[]
  /** Rounds in a whole run; default 3. */
  rounds?: number
  /** Put only if it is asked for by name. */
  onlyIfNamed?: true
  /** Put only if it is asked for by name, or with all that are long, and takes so many minutes as are wanted. */
  isLong?: true
  /** About how long a round takes in a whole run, for the estimate shown; of a long one, beside those minutes. Default 30. */
  seconds?: number
  /** One round: every contender that the question is put to, in turn. */
  run(context: Context): Promise<Measured[]>
}
