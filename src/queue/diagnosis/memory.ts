import { type Finding, finding, ok } from '../../doctor/finding.ts'
import { MEGABYTE, number, size } from '../../runtime/human-numbers.ts'
import { configSet, type RedisState } from './state.ts'
import { ADVISED_LIMIT, type WaitingJobs } from './waiting-jobs.ts'

const MUCH_PERCENT = 80
const TOO_MUCH_PERCENT = 95

export function lookAtEviction(state: RedisState): Finding | undefined {
  const policy = state.info.get('maxmemory_policy')
  if (policy === undefined) return undefined
  const what = `maxmemory-policy ${policy}`
  if (policy === 'noeviction') return ok('redis-eviction', what)
  const meaning = policy.startsWith('volatile')
    ? 'At its memory limit Redis silently deletes the locks of checks under way, and whatever else has an expiry.'
    : 'At its memory limit Redis silently deletes waiting orders.'
  return finding('error', 'redis-eviction', { what, meaning, fix: configSet(state, 'maxmemory-policy noeviction') })
}

export function lookAtMemory(state: RedisState): Finding | undefined {
  const numberOf = (name: string) => Number(state.info.get(name) ?? 0)
  const used = numberOf('used_memory')
  const limit = numberOf('maxmemory')
  const total = numberOf('total_system_memory')
  const most = limit || total
  if (used === 0 || most === 0) return undefined
  const percent = (100 * used) / most
  const whole = limit ? `maxmemory (${size(limit)})` : `the machine (${size(total)}; no maxmemory is set)`
  const what = `${size(used)} used, ${number(Math.round(percent))} % of ${whole}`
  if (percent <= MUCH_PERCENT) return ok('redis-memory', what)
  const more = Math.ceil((used * 2) / MEGABYTE)
  const hasRoom = limit && (total === 0 || more * MEGABYTE < total * 0.8)
  return finding(percent > TOO_MUCH_PERCENT ? 'error' : 'warning', 'redis-memory', {
    what,
    meaning: limit
      ? 'At the limit Redis refuses every write (OOM): nothing can be scheduled or finished.'
      : 'When the machine has no memory left, the kernel ends Redis.',
    fix: hasRoom ? configSet(state, `maxmemory ${more}mb`) : '# give the server more memory, or move other data off it',
  })
}

export function lookAtListpack(state: RedisState): Finding | undefined {
  const { config, waiting } = state
  const name = config.has('hash-max-listpack-value') ? 'hash-max-listpack-value' : 'hash-max-ziplist-value'
  const value = config.get(name)
  const saves = waiting
    ? saving(waiting)
    : `With ${ADVISED_LIMIT} a waiting order takes about 470 bytes instead of 850, if its job has a deadline, a name or a trace.`
  const meaning = `${saves} It applies to orders scheduled afterwards.`
  if (value === undefined) {
    if (!waiting?.reducible) return undefined
    // Settings cannot be read here, but the jobs show them.
    const what = `hash-max-listpack-value is less than ${ADVISED_LIMIT}`
    const fix = `# in the provider's console: hash-max-listpack-value ${ADVISED_LIMIT}`
    return finding('info', 'redis-listpack', { what, meaning, fix })
  }
  const what = `${name} ${value}`
  if (Number(value) >= ADVISED_LIMIT) return ok('redis-listpack', what)
  if (waiting?.reducible === 0) return ok('redis-listpack', `${what}, which is enough for the waiting orders`)
  return finding('info', 'redis-listpack', { what, meaning, fix: configSet(state, `${name} ${ADVISED_LIMIT}`) })
}

function saving({ count, reducible, bytes, reducedBytes }: WaitingJobs): string {
  const each = `${Math.round(reducedBytes)} bytes instead of ${Math.round(bytes)} for each job`
  return `With ${ADVISED_LIMIT} the waiting orders would take about ${size(reducible * (bytes - reducedBytes))} less: ${each}, ${number(reducible)} of ${number(count)}.`
}
