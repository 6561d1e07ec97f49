import { randomBytes } from 'node:crypto'
import { sharedServer } from './shared-servers.ts'

/** The URL of the Redis that the whole test run shares. It is started when somebody first asks for it. */
export function redisUrl(): string {
  return sharedServer('redis')
}

/** The URL of the PostgreSQL that the whole test run shares. It is started when somebody first asks for it. */
export function databaseUrl(): string {
  return sharedServer('postgres')
}

/** A name that no other test uses. */
export function uniqueName(prefix: string): string {
  return `${prefix}_${randomBytes(5).toString('hex')}`
}
