import { randomBytes } from 'node:crypto'

/** The URL of the Redis that the whole test run shares. */
export function redisUrl(): string {
  return fromSetup('TEST_REDIS_URL')
}

/** The URL of the PostgreSQL that the whole test run shares. */
export function databaseUrl(): string {
  return fromSetup('TEST_DATABASE_URL')
}

/** A name that no other test uses. */
export function uniqueName(prefix: string): string {
  return `${prefix}_${randomBytes(5).toString('hex')}`
}

function fromSetup(name: string): string {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set: has the global set-up run?`)
  return value
}
