import { Redis } from 'ioredis'
import { openPool } from './cancel.ts'
import { Host, setting } from './host.ts'

const host = new Host()
const { cancelOne } = openPool()

const redis = new Redis(setting('REDIS_URL'))
redis.on('message', (_channel, key: string) => {
  cancelOne(key.slice('order:'.length)).then(
    () => host.finished(),
    (error: Error) => process.stderr.write(`${error.stack}\n`),
  )
})
await redis.subscribe('__keyevent@0__:expired')
host.ready()
