import { describeOrderStore } from '../contract/order-store.ts'
import { MemoryStore } from '../helpers/memory-store.ts'

/* The store that tests use in the place of a real one is a store by the same contract. */
describeOrderStore('memory', async () => {
  const store = new MemoryStore()
  let changes = 0
  return {
    store,
    id: (n) => `order-${n}`,
    keepsPayments: true,
    async place(orders) {
      for (const { orderId, deadline } of orders) store.place(orderId, deadline)
    },
    async pay(orderId) {
      if (store.pay(orderId)) changes++
    },
    announced: async () => store.events.map(({ orderId }) => orderId),
    changes: async () => changes + store.count('cancelled'),
    async lock(orderId) {
      const order = store.orders.get(orderId)
      if (!order) throw new Error(`expected ${orderId} to be there`)
      order.isLocked = true
      return async () => {
        order.isLocked = false
      }
    },
    close: () => store.close(),
  }
})
