import { pathToFileURL } from 'node:url'
import type { Contender } from '../contender.ts'
import { buildRelease, RELEASE, VERSION } from '../release-before.ts'
import { placeWith, startOurs } from './ours.ts'

/** order-expiry as it was before, in the same run: what is measured against it does not depend on the day or the machine. */
export const before: Contender = {
  name: 'before',
  advice: `order-expiry ${VERSION}, built from this repository's history, with the same packages and settings as ours; orders are placed with its own scheduleMany.`,
  cancels: true,
  prepare: buildRelease,
  async place(servers, orders) {
    const { OrderExpiry } = (await import(pathToFileURL(RELEASE.library).href)) as typeof import('../../src/index.ts')
    await placeWith(new OrderExpiry({ redis: servers.redisUrl }), orders)
  },
  start: (servers) => startOurs(servers, { cli: RELEASE.cli }),
}
