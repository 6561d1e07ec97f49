import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from '@jest/globals'
import { parse } from 'yaml'
import { readConfig } from '../../src/config.ts'

interface Service {
  image?: string
  build?: string
  command?: string[]
  environment?: Record<string, string>
  ports?: string[]
  volumes?: string[]
  depends_on?: Record<string, { condition: string }>
  stop_grace_period?: string
}

const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url))
const read = (path: string) => readFileSync(`${DEPLOY}${path}`, 'utf8')
const compose = parse(read('compose.yaml'), { merge: true }) as {
  services: Record<string, Service>
  volumes: Record<string, unknown>
}
const { services } = compose
const settings = services.daemon?.environment ?? {}

test('the settings of the daemon are settings, and good ones', () => {
  const config = readConfig({ env: { ...settings, NODE_ENV: 'production' }, dotenv: settings })
  expect(config).toMatchObject({ ORDER_STORE: 'postgres', production: true })
  expect(services.migrate?.environment).toEqual(settings)
  expect(Number.parseInt(services.daemon?.stop_grace_period ?? '', 10) * 1_000).toBeGreaterThan(config.SHUTDOWN_TIMEOUT)
})

test('every file that is mounted is there, every volume and service that is named, too', () => {
  for (const { volumes = [], depends_on = {} } of Object.values(services)) {
    for (const volume of volumes) {
      const source = volume.split(':')[0] as string
      expect([source, source.startsWith('.') ? existsSync(`${DEPLOY}${source}`) : source in compose.volumes]).toEqual([
        source,
        true,
      ])
    }
    for (const name of Object.keys(depends_on)) expect(Object.keys(services)).toContain(name)
  }
})

test('nothing listens on any other address than loopback', () => {
  const ports = Object.values(services).flatMap(({ ports = [] }) => ports)
  expect(ports.length).toBeGreaterThan(3)
  expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([])
})

test('Redis keeps what it has, as the daemon wants it', () => {
  expect(services.redis?.command?.join(' ')).toBe(
    'valkey-server --appendonly yes --maxmemory-policy noeviction --hash-max-listpack-value 256',
  )
})

test('promtool takes the configuration of Prometheus, with its rules', () => {
  const output = execFileSync('promtool', ['check', 'config', 'prometheus.yaml'], {
    cwd: `${DEPLOY}prometheus`,
    encoding: 'utf8',
  })
  expect(output).toContain('SUCCESS')
  const { scrape_configs: jobs } = parse(read('prometheus/prometheus.yaml')) as {
    scrape_configs: { job_name: string; authorization: unknown }[]
  }
  const authorization = { credentials: settings.METRICS_TOKEN }
  expect(jobs).toMatchObject([{ job_name: 'order-expiry', authorization }])
})
