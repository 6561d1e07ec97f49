import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { during, STEADY } from './workload.ts'
import type { World } from './world.ts'

/** A connection of the case's own, as an administrator. */
export async function withAdmin<T>(world: World, work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: world.postgres?.url })
  admin.on('error', () => {})
  await admin.connect()
  try {
    await admin.query('SET default_transaction_read_only = off')
    return await work(admin)
  } finally {
    await admin.end()
  }
}

/** Lets the shop go on while an administrator does something to a server that is the case's own. */
export function byAdmin(world: World, fault: (admin: pg.Client) => Promise<unknown>): Promise<number> {
  return during(world, STEADY, () => withAdmin(world, fault))
}

/** Changes the configuration of the whole server. */
export async function configure(admin: pg.Client, setting: string): Promise<void> {
  await admin.query(`ALTER SYSTEM SET ${setting}`)
  await admin.query('SELECT pg_reload_conf()')
}

/** Does something over and over while something else is done. */
export async function repeating<T>(again: () => Promise<unknown>, meanwhile: () => Promise<T>): Promise<T> {
  let isOn = true
  const repeated = (async () => {
    for (; isOn; await sleep(5)) await again().catch(() => {})
  })()
  try {
    return await meanwhile()
  } finally {
    isOn = false
    await repeated
  }
}
