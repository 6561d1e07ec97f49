import { type Finding, finding, ok } from '../../doctor/finding.ts'
import { MEGABYTE, number, size } from '../../runtime/human-numbers.ts'
import { ADVISED_LIMIT, type JobMemory } from './job-memory.ts'
import { configSet, type RedisState } from './state.ts'

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
  const { config, waiting, finished } = state
  const name = config.has('hash-max-listpack-value') ? 'hash-max-listpack-value' : 'hash-max-ziplist-value'
  const value = config.get(name)
  const savings = [...savingOf('waiting orders', waiting), ...savingOf('finished checks', finished)]
  const saves =
    savings.length > 0
      ? `With ${ADVISED_LIMIT}, Redis would take about ${savings.join(', and about ')}.`
      : `With ${ADVISED_LIMIT} a finished check takes about 570 bytes instead of 1,140.`
  const meaning = `${saves} It applies to what is scheduled or finished afterwards.`
  if (value === undefined) {
    if (savings.length === 0) return undefined
    // Settings cannot be read here, but the jobs show them.
    const what = `hash-max-listpack-value is less than ${ADVISED_LIMIT}`
    const fix = `# in the provider's console: hash-max-listpack-value ${ADVISED_LIMIT}`
    return finding('info', 'redis-listpack', { what, meaning, fix })
  }
  const what = `${name} ${value}`
  if (Number(value) >= ADVISED_LIMIT) return ok('redis-listpack', what)
  if (finished && savings.length === 0) return ok('redis-listpack', `${what}, which is enough for the jobs here`)
  return finding('info', 'redis-listpack', { what, meaning, fix: configSet(state, `${name} ${ADVISED_LIMIT}`) })
}

function savingOf(whose: string, memory: JobMemory | undefined): string[] {
  if (!memory?.reducible) return []
  const { count, reducible, bytes, reducedBytes } = memory
  const each = `${Math.round(reducedBytes)} bytes instead of ${Math.round(bytes)} for each job, ${number(reducible)} of ${number(count)}`
  return [`${size(reducible * (bytes - reducedBytes))} less for the ${whose} (${each})`]
}
