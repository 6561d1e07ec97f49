import type { Site } from '../../src/http/pages/site.ts'
import type { Vitals } from '../../src/observe/vitals.ts'
import { fakeVitals } from './fake-vitals.ts'

/** Pages of a process that runs, with all well and the orders in a table, but for what is given. */
export function fakeSite(given: Partial<Omit<Site, 'vitals'>> & { vitals?: Partial<Vitals> } = {}): Site {
  const { vitals, ...rest } = given
  return {
    base: '',
    publicUrl: '',
    environment: undefined,
    version: '1.2.3',
    isStoreInRedis: false,
    isBrakeLimited: false,
    sweepEveryMs: 60_000,
    isSwept: true,
    vitals: fakeVitals(vitals),
    ...rest,
  }
}
