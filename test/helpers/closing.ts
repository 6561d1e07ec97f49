import { afterEach } from '@jest/globals'

/** What a test has opened: closed after it, the last first. */
export const closing: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})
