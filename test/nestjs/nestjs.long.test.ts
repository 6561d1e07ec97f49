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
  { version: 10, types: ['commonjs'] },
  { version: 11, types: ['commonjs'] },
  { version: 12, types: ['commonjs', 'module'] },
] as const

/** Beside nodenext, with which the application is compiled. */
const RESOLUTIONS = [
  { moduleResolution: 'node', module: 'commonjs' },
  { moduleResolution: 'bundler', module: 'esnext' },
] as const

describe.each(VERSIONS)('with Nest $version', ({ version, types }) => {
  let shop: NestShop
  beforeAll(() => {
    shop = new NestShop({ version })
  })
  afterAll(() => shop.remove())

  test.each(version === 12 ? RESOLUTIONS.slice(1) : RESOLUTIONS)(
    'its types resolve with moduleResolution $moduleResolution',
    (resolution) => {
      expect(shop.compile({ type: 'commonjs', resolution })).toEqual([])
    },
  )

  describe.each(types)('in a package of type %s', (type) => {
    let redis: Server
    beforeAll(async () => {
      redis = await startRedis()
      expect(shop.compile({ type })).toEqual([])
    })
    afterAll(() => redis.stop())

    test('the application schedules in a request, by name, and as a bare producer, and ends by itself after its close', async () => {
      expect(shop.run('application.js', redis)).toEqual({ code: 0, output: '201 scheduled scheduled\n' })
      expect(await ordersIn('check-payment', redis)).toEqual(['A-1', 'R-1'])
      expect(await ordersIn('check-tickets', redis)).toEqual(['T-1'])
    })

    test('options come in each way; a wrong one stops the start; each client is closed with its application', () => {
      const { code, output } = shop.run('ways.js', redis)
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
        misspelt: expect.stringMatching(/forRootAsync: unknown field "injct"; did you mean inject\?/),
        injectsIntoClass: expect.stringMatching(/forRootAsync: .*inject with useFactory only/),
        parts: [true, false, true],
      })
    })

    if (type === 'module') return // Jest has tests in CommonJS

    test('its test passes in Jest and leaves nothing open', () => {
      expect(shop.test()).toMatchObject({ code: 0, output: expect.stringContaining('1 passed') })
    })
  })
})

/** The orders whose checks wait in a queue, as the daemon reads them. */
async function ordersIn(name: string, { url }: Server): Promise<string[]> {
  const raw = new RawQueue(url, name)
  closing.push(() => raw.close())
  const checks = (await raw.queue.getDelayed()).map((job) => {
    const check = parseJob({ ...job, id: job.id as string }, { now: Date.now(), paymentTimeoutMs: 1 })
    expect(job.timestamp + job.delay).toBe(check.deadline)
    return check.orderId
  })
  return checks.sort()
}
