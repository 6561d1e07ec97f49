// node longest-hold.mjs INDEX URL QUEUE METHOD: schedules 10,000 orders a few times, and prints for each how many milliseconds
// at most nothing else could run.
import { pathToFileURL } from 'node:url'

const [index, redis, queueName, method] = process.argv.slice(2)
const { OrderExpiry } = await import(pathToFileURL(index).href)
const shop = new OrderExpiry({ redis, queueName })
const ways = {
  scheduleMany: (items) => shop.scheduleMany(items),
  schedule: (items) => Promise.all(items.map((item) => shop.schedule(item))),
}

let last = performance.now()
let longest = 0
const look = () => {
  const now = performance.now()
  longest = Math.max(longest, now - last)
  last = now
}
const timer = setInterval(look, 1)
const holds = []
let scheduled = 0
for (let attempt = 0; attempt < 10; attempt++) {
  const items = Array.from({ length: 10_000 }, (_, n) => ({ orderId: `${attempt}-${n}` }))
  await new Promise((resolve) => setTimeout(resolve, 20)) // making them was our own work
  longest = 0
  const results = await ways[method](items)
  look()
  holds.push(longest)
  scheduled += results.filter(({ result }) => result === 'scheduled').length
}
clearInterval(timer)
await shop.close()
process.stdout.write(JSON.stringify({ holds, scheduled }))
