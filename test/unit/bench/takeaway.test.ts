import { expect, test } from '@jest/globals'
import { takeaway } from '../../../bench/takeaway.ts'
import { measured } from './measured.ts'

const lateness = (contender: string, ofCase: string, p99: number) =>
  measured({ question: 'lateness', contender, case: ofCase, figures: { p99 } })

function whole(wrong = 0) {
  return [
    measured({ figures: { settledPerSecond: 36_000, cpu: 41.4, wrong } }),
    measured({ contender: 'bullmq', figures: { settledPerSecond: 7_500 } }),
    measured({ contender: 'cron', figures: { settledPerSecond: 40_000 } }),
    lateness('ours', '100/s', 5.6),
    lateness('ours', '10,000/s', 9.25),
    lateness('ours', '1,000/s', 5.1),
    lateness('cron', '100/s', 990),
    lateness('cron', '10,000/s', 995),
    lateness('cron', '1,000/s', 991),
  ].toSorted((a, b) => a.case.length - b.case.length)
}

test('what to remember of a whole run are two sentences', () => {
  const text = takeaway(whole()) as string
  expect(text.match(/\.( |$)/g)).toHaveLength(2)
  expect(text).toContain('settles 36,000 a second, 4.80 times as fast as a plain BullMQ worker and 0.90 times')
  expect(text).toContain('41 µs of CPU an order in all, and decides none of them wrongly')
  expect(text).toContain('up to 10,000/s, it cancels 99 of 100 orders within 9.3 ms')
  expect(text).toContain('takes 995 ms')
})

test('it does not hide what went wrong', () => {
  expect(takeaway(whole(3))).toContain('3 of them are decided wrongly')
})

test('it says nothing rather than half of it', () => {
  for (const [index] of whole().entries()) expect(takeaway(whole().toSpliced(index, 1))).toBeUndefined()
})
