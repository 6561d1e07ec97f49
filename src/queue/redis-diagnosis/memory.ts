import { type Finding, finding } from '../../observe/finding.ts'
import { configSet } from './config-set.ts'
import type { RedisState } from './state.ts'

const MEGABYTE = 1_048_576

export function lookAtEviction({ info }: RedisState): Finding[] {
  const policy = info.get('maxmemory_policy')
  if (policy === undefined) return []
  const what = `maxmemory-policy ${policy}`
  if (policy === 'noeviction') return [finding('ok', 'redis-eviction', { what })]
  return [
    finding('error', 'redis-eviction', {
      what,
      meaning: policy.startsWith('volatile')
        ? 'At its memory limit Redis deletes the locks of checks under way, and whatever else has an expiry, without a word.'
        : 'At its memory limit Redis deletes waiting orders without a word.',
      fix: configSet(info, 'maxmemory-policy noeviction'),
    }),
  ]
}

export function lookAtMemory({ info }: RedisState): Finding[] {
  const used = Number(info.get('used_memory'))
  const limit = Number(info.get('maxmemory') ?? 0)
  const total = Number(info.get('total_system_memory') ?? 0)
  const most = limit || total
  if (!Number.isFinite(used) || most === 0) return []
  const percent = (100 * used) / most
  const what = `${megabytes(used)} used, ${percent.toFixed(0)} % of ${limit ? `maxmemory (${megabytes(limit)})` : `the machine (${megabytes(total)}; no maxmemory is set)`}`
  if (percent <= 80) return [finding('ok', 'redis-memory', { what })]
  const more = Math.ceil((used * 2) / MEGABYTE)
  return [
    finding(percent > 95 ? 'error' : 'warning', 'redis-memory', {
      what,
      meaning: limit
        ? 'At the limit Redis refuses every write (OOM): nothing can be scheduled or finished.'
        : 'When the machine has no memory left, the kernel ends Redis.',
      fix:
        limit && (total === 0 || more * MEGABYTE < total * 0.8)
          ? configSet(info, `maxmemory ${more}mb`)
          : '# give the server more memory, or take other data off it',
    }),
  ]
}

function megabytes(bytes: number): string {
  return bytes < 10 * MEGABYTE
    ? `${(bytes / MEGABYTE).toFixed(1)} MB`
    : `${Math.round(bytes / MEGABYTE).toLocaleString('en-US')} MB`
}

export function lookAtListpack({ info, config }: RedisState): Finding[] {
  const name = config.has('hash-max-listpack-value') ? 'hash-max-listpack-value' : 'hash-max-ziplist-value'
  const value = config.get(name)
  if (value === undefined) return []
  if (Number(value) >= 128) return [finding('ok', 'redis-listpack', { what: `${name} ${value}` })]
  return [
    finding('info', 'redis-listpack', {
      what: `${name} ${value}`,
      meaning:
        'With 128 a waiting order takes about 509 bytes instead of 917. It counts for orders scheduled from then on.',
      fix: configSet(info, `${name} 128`),
    }),
  ]
}
