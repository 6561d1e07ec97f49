import { type Finding, finding, ok } from '../../doctor/finding.ts'
import { configSet, type RedisState } from './state.ts'

const WRITTEN: Record<string, string> = {
  always: ', fsynced after every write',
  everysec: ', fsynced every second',
}

export function lookAtPersistence(state: RedisState): Finding | undefined {
  const { info, config, keepsOrders } = state
  const lost = keepsOrders ? 'orders, payments and scheduled checks' : 'scheduled checks'
  const fsync = config.get('appendfsync') ?? ''
  const save = config.get('save')
  if (info.get('aof_enabled') === '1') {
    if (fsync !== 'no') return ok('redis-persistence', `append-only file${WRITTEN[fsync] ?? ''}`)
    return finding('warning', 'redis-persistence', {
      what: 'append-only file, but appendfsync no',
      meaning: `If the machine stops, the ${lost} of about the last 30 s are lost.`,
      fix: configSet(state, 'appendfsync everysec'),
    })
  }
  if (save === undefined) return undefined // redis-config tells
  const fix = configSet(state, 'appendonly yes')
  if (save === '') {
    const meaning = `When Redis restarts, all ${lost} are gone.`
    return finding('warning', 'redis-persistence', { what: 'nothing is written to disk', meaning, fix })
  }
  const every = Math.min(...[...save.matchAll(/(\d+) \d+/g)].map(([, seconds]) => Number(seconds)))
  return finding(keepsOrders ? 'warning' : 'info', 'redis-persistence', {
    what: `snapshots only (save ${save})`,
    meaning: `When Redis crashes, the ${lost} since the last snapshot are lost: at least the last ${every} s.`,
    fix,
  })
}

export function lookAtWrites({ info, config }: RedisState): Finding[] {
  const stops = config.get('stop-writes-on-bgsave-error') !== 'no' && config.get('save') !== ''
  const room = '# make room on the disk of Redis, see its log for the reason'
  const failures = {
    rdb_last_bgsave_status: finding(stops ? 'error' : 'warning', 'redis-writes', {
      what: 'the last snapshot (BGSAVE) has failed',
      meaning: stops
        ? 'Redis refuses every write (MISCONF) until a snapshot succeeds: nothing can be scheduled or finished.'
        : 'There is no snapshot of the present data.',
      fix: [`${room}, then:`, 'BGSAVE'],
    }),
    aof_last_write_status: finding('error', 'redis-writes', {
      what: 'the last write to the append-only file has failed',
      meaning: 'Redis refuses every write (MISCONF) until one succeeds: nothing can be scheduled or finished.',
      fix: `${room}; it tries again by itself`,
    }),
    aof_last_bgrewrite_status: finding('warning', 'redis-writes', {
      what: 'the last rewrite of the append-only file has failed',
      meaning: 'The file grows until the disk is full; then Redis refuses every write.',
      fix: [`${room}, then:`, 'BGREWRITEAOF'],
    }),
  }
  const findings = Object.entries(failures).flatMap(([status, failed]) => (info.get(status) === 'err' ? [failed] : []))
  return findings.length > 0 ? findings : [ok('redis-writes', 'no failed write to disk')]
}
