import { type Server, startPostgres, startRedis } from './processes.ts'

declare global {
  var testServers: Server[] | undefined
}

/** One Redis and one PostgreSQL for all suites; each suite keeps to names of its own in them. */
export default async function setup(): Promise<void> {
  const [redis, postgres] = await Promise.all([startRedis(), startPostgres()])
  globalThis.testServers = [redis, postgres]
  process.env.TEST_REDIS_URL = redis.url
  process.env.TEST_DATABASE_URL = postgres.url
}
