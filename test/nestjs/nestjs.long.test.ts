import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { parseJob } from '../../src/queue/contract.ts'
import { closing } from '../helpers/closing.ts'
import { type Server, startRedis } from '../helpers/processes.ts'
import { RawQueue } from '../helpers/raw-queue.ts'
import { NestShop } from './nest-shop.ts'

/*
 * The application that docs/nestjs.md shows is compiled and run as it stands there, with the packed library and each version of
 * Nest. Its programs must end by themselves: a client that is left open would keep them.
 */

jest.setTimeout(300_000) // packages are installed and compiled beside other tests

const VERSIONS = [
  { version: 10, type: 'commonjs' },
  { version: 11, type: 'commonjs' },
  { version: 12, type: 'module' },
  { version: 12, type: 'commonjs' },
] as const

describe.each(VERSIONS)('with Nest $version as $type', ({ version, type }) => {
  let redis: Server
  let shop: NestShop
  beforeAll(async () => {
    redis = await startRedis()
    shop = new NestShop({ version, env: { REDIS_URL: redis.url } })
    expect(shop.compile({ type })).toEqual([])
  })
  afterAll(async () => {
    shop.remove()
    await redis.stop()
  })

  test('the application schedules in a request, by name, and as a bare producer, and ends by itself after its close', async () => {
    expect(shop.run('application.js')).toEqual({ code: 0, output: '201 scheduled scheduled\n' })
    const orders = await jobsOf('check-payment', redis)
    expect(orders.map(({ orderId }) => orderId)).toEqual(['A-1', 'R-1'])
    expect((await jobsOf('check-tickets', redis)).map(({ orderId }) => orderId)).toEqual(['T-1'])
  })

  test('options come in each way; a wrong one stops the start; each client is closed with its application', () => {
    const { code, output } = shop.run('ways.js')
    const works = 'scheduled CLOSED'
    expect({ code, ...JSON.parse(output) }).toEqual({
      code: 0,
      forRoot: works,
      useFactory: works,
      useClass: works,
      useExisting: works,
      byName: works,
      unusedAndAway: works,
      global: works,
      notGlobal: 'UnknownDependenciesException',
      globalAsync: works,
      noUrl: 'INVALID_OPTIONS',
      unknownOption: 'INVALID_OPTIONS',
      factoryFails: 'RangeError',
      noWay: 'INVALID_OPTIONS',
      twoWays: 'INVALID_OPTIONS',
      parts: [true, false, true],
    })
  })

  // Nest 12 is ES modules only, and Jest requires none.
  if (version !== 12 || type === 'module') {
    test('its test passes in Jest, without Redis, and leaves nothing open', async () => {
      await redis.stop()
      expect(shop.test()).toMatchObject({ code: 0, output: expect.stringContaining('1 passed') })
    })
  }
})

/** What the jobs of a queue ask for, as the daemon reads them. */
async function jobsOf(name: string, { url }: Server) {
  const raw = new RawQueue(url, name)
  closing.push(() => raw.close())
  const checks = (await raw.queue.getDelayed()).map((job) => {
    const check = parseJob({ ...job, id: job.id as string }, { now: Date.now(), paymentTimeoutMs: 1 })
    expect(job.timestamp + job.delay).toBe(check.deadline)
    return check
  })
  return checks.sort((a, b) => (a.orderId < b.orderId ? -1 : 1))
}
