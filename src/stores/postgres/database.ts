/** One connection to the database, or a pool of them. */
export interface Database {
  query<Row extends object = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<{ rows: Row[] }>
}

/** The row of a statement that has exactly one. */
export async function one<Row extends object>(database: Database, sql: string, values: unknown[] = []): Promise<Row> {
  return (await database.query<Row>(sql, values)).rows[0] as Row
}

/** The value of a statement that has exactly one. */
export async function oneValue<T>(database: Database, sql: string, values: unknown[] = []): Promise<T> {
  return Object.values(await one(database, sql, values))[0] as T
}

/** What the clock of the database shows, in epoch milliseconds. */
export function databaseNow(database: Database): Promise<number> {
  return oneValue(database, 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8')
}
