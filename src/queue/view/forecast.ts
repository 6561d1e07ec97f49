import { MINUTE_MS } from '../../observe/minutes.ts'
import type { Forecast } from '../../observe/vitals.ts'
import { timeOf } from '../../redis/time.ts'
import type { OpenQueue } from '../check-queue.ts'
import { scoreOf } from '../due-score.ts'

const MINUTES = 60

/**
 * What the queue already knows of the future, from now on by the clock of Redis: counts of ranges of its sorted set, each as quick as a look-up, however many
 * orders wait.
 *
 * @throws ioredis' error
 */
export async function readForecast({ redis, keys }: Pick<OpenQueue, 'redis' | 'keys'>): Promise<Forecast> {
  const at = Math.floor(await timeOf(redis))
  const { delayed, wait, paused, prioritized, active } = keys
  const pipeline = redis.pipeline()
  pipeline.zcount(delayed, scoreOf(at), '+inf').zcount(delayed, '-inf', `(${scoreOf(at)}`)
  pipeline.llen(wait).llen(paused).zcard(prioritized).llen(active)
  for (let minute = 0; minute < MINUTES; minute++) {
    const from = at + minute * MINUTE_MS
    pipeline.zcount(delayed, scoreOf(from), `(${scoreOf(from + MINUTE_MS)}`)
  }
  const counts = ((await pipeline.exec()) ?? []).map(([error, count]) => {
    if (error) throw error
    return Number(count)
  })
  const [waiting = 0, ...due] = counts.slice(0, -MINUTES)
  const minutes = counts.slice(-MINUTES)
  const within = (count: number) => sum(minutes.slice(0, count))
  return {
    at,
    waiting,
    due: sum(due),
    within: { '1m': within(1), '5m': within(5), '15m': within(15), '60m': within(60) },
    minutes,
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
