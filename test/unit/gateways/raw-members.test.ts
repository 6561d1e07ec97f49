import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { rawMembers } from '../../../src/gateways/alipay/raw-members.ts'

test('each member has its text as it was written, whatever is in it', () => {
  const objects = fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true })
  fc.assert(
    fc.property(objects, fc.constantFrom(0, 1, 3, '\t'), (object, space) => {
      const members = rawMembers(JSON.stringify(object, null, space))
      const read = [...members].map(([name, text]) => [name, JSON.parse(text)])
      expect(read).toEqual(Object.entries(JSON.parse(JSON.stringify(object))))
      for (const text of members.values()) expect(text.trim()).toBe(text)
    }),
  )
})
