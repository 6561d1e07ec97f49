import { type Finding, finding } from '../../doctor/finding.ts'
import { configSet } from './config-set.ts'
import type { RedisState } from './state.ts'

export function lookAtPersistence({ info, config, keepsOrders }: RedisState): Finding[] {
  const lost = keepsOrders ? 'orders, payments and scheduled checks' : 'scheduled checks'
  const turnOn = configSet(info, 'appendonly yes')
  if (info.get('aof_enabled') === '1') {
    const fsync = config.get('appendfsync')
    if (fsync !== 'no') {
      const how = { always: 'written through each time', everysec: 'written through each second' }[fsync ?? '']
      return [finding('ok', 'redis-persistence', { what: `append-only file${how ? `, ${how}` : ''}` })]
    }
    return [
      finding('warning', 'redis-persistence', {
        what: 'append-only file, but appendfsync no',
        meaning: `If the machine stops, the ${lost} of about the last 30 s are lost.`,
        fix: configSet(info, 'appendfsync everysec'),
      }),
    ]
  }
  const save = config.get('save')
  if (save === undefined) return [] // said as redis-config
  if (save === '') {
    return [
      finding('warning', 'redis-persistence', {
        what: 'nothing is written to disk',
        meaning: `When Redis restarts, all ${lost} are gone.`,
        fix: turnOn,
      }),
    ]
  }
  const every = Math.min(...[...save.matchAll(/(\d+) \d+/g)].map(([, seconds]) => Number(seconds)))
  return [
    finding(keepsOrders ? 'warning' : 'info', 'redis-persistence', {
      what: `snapshots only (save ${save})`,
      meaning: `When Redis crashes, the ${lost} since the last snapshot are lost: those of ${every} s and more.`,
      fix: turnOn,
    }),
  ]
}

export function lookAtWrites({ info, config }: RedisState): Finding[] {
  const findings: Finding[] = []
  if (info.get('rdb_last_bgsave_status') === 'err') {
    const stops = config.get('stop-writes-on-bgsave-error') !== 'no' && config.get('save') !== ''
    findings.push(
      finding(stops ? 'error' : 'warning', 'redis-writes', {
        what: 'the last snapshot (BGSAVE) has failed',
        meaning: stops
          ? 'Redis refuses every write (MISCONF) until a snapshot succeeds: nothing can be scheduled or finished.'
          : 'There is no snapshot of the present data.',
        fix: ['# make room on the disk of Redis, see its log for the reason, then:', 'BGSAVE'],
      }),
    )
  }
  if (info.get('aof_last_write_status') === 'err') {
    findings.push(
      finding('error', 'redis-writes', {
        what: 'the last write to the append-only file has failed',
        meaning: 'Redis refuses every write (MISCONF) until one succeeds: nothing can be scheduled or finished.',
        fix: '# make room on the disk of Redis, see its log for the reason; it tries again by itself',
      }),
    )
  }
  if (info.get('aof_last_bgrewrite_status') === 'err') {
    findings.push(
      finding('warning', 'redis-writes', {
        what: 'the last rewrite of the append-only file has failed',
        meaning: 'The file grows until the disk is full; then Redis refuses every write.',
        fix: ['# make room on the disk of Redis, see its log for the reason, then:', 'BGREWRITEAOF'],
      }),
    )
  }
  return findings.length > 0 ? findings : [finding('ok', 'redis-writes', { what: 'no failed write to disk' })]
}
