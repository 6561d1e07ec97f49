// BullMQ's Worker as anybody runs it: node plain-worker.mjs <Redis URL> <queue>. It takes jobs, tells how many, and never ends one.
import { Worker } from 'bullmq'

const [url, name] = process.argv.slice(2)
const { hostname: host, port } = new URL(url)
let taken = 0
const take = () => {
  process.stdout.write(`${++taken}\n`)
  return new Promise(() => {})
}
new Worker(name, take, {
  connection: { host, port: Number(port) },
  concurrency: 20,
  lockDuration: 2_000,
  stalledInterval: 1_000, // nobody else looks for stalled jobs within it
})
