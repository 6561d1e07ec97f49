import type { Measured } from '../../../bench/question.ts'
import type { Results } from '../../../bench/results.ts'

/** One measurement, of ours in the burst unless said otherwise. */
export function measured(part: Partial<Measured> = {}): Measured {
  return { question: 'burst', contender: 'ours', case: '', round: 1, figures: {}, ...part }
}

export function results(part: Partial<Results> = {}): Results {
  return {
    date: '2030-01-02T03:04:05.000Z',
    quick: false,
    machine: { cores: 2 },
    contenders: [],
    questions: [],
    measured: [],
    ...part,
  }
}
