/** A Redis and a PostgreSQL of the bench's own, untuned, on loopback. */
export interface Servers {
  redisUrl: string
  redisPid: number
  databaseUrl: string
  postgresPid: number
  /** Empties both: FLUSHALL, and the tables made anew. */
  reset(): Promise<void>
  stop(): Promise<void>
}
