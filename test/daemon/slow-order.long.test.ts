import { expect, test } from '@jest/globals'
import { closing } from '../helpers/closing.ts'
import { DaemonProcess } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { onUpdate, openSilentShop } from '../helpers/silent-shop.ts'

const MINUTE = 60_000

test('one slow order among many that are overdue does not hold up the others: workers take them apart', async () => {
  const { table, env, statuses } = await openSilentShop()
  await onUpdate(table, 'IF NEW.id = 100 THEN PERFORM pg_sleep(60); END IF;')
  const deadline = Date.now() - MINUTE
  await table.insert(Array.from({ length: 250 }, (_, n) => ({ id: `${n + 1}`, deadline })))
  const daemon = await DaemonProcess.start(env)
  closing.push(() => daemon.stop('SIGKILL'))
  const isDone = async () => Object.values(await statuses()).filter((status) => status === 'cancelled').length === 249
  // One sweep in which the slow one is not found, and then some halvings, of 10 s each. By sweeps alone it takes 10 minutes.
  await eventually('all others are cancelled', isDone, 150_000)
  expect(await table.statusOf('100')).toBe('pending')
  await daemon.stop('SIGKILL')
}, 180_000)
