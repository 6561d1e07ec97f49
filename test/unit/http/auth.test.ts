import { describe, expect, test } from '@jest/globals'
import { findUser } from '../../../src/http/auth.ts'

const ann = { name: 'ann', password: 'correct horse', role: 'operator' }
const bob = { name: 'bob', password: 'battery staple', role: 'viewer' }
const zoë = { name: 'zoë', password: 'päßwörd 🛒', role: 'viewer' }
const users = [ann, bob, zoë]

describe('findUser', () => {
  test.each(users)('finds $name by name and password, with all that is known of them', (user) => {
    expect(findUser(users, { name: user.name, password: user.password })).toBe(user)
  })

  test.each([
    ['a wrong password', 'ann', 'correct hors'],
    ['a longer password', 'ann', 'correct horse '],
    ['the password in another case', 'ann', 'Correct Horse'],
    ['an empty password', 'ann', ''],
    ["another user's password", 'ann', 'battery staple'],
    ['a wrong name', 'eve', 'correct horse'],
    ['an empty name', '', 'correct horse'],
    ['nothing', '', ''],
    ['name and password the wrong way round', 'correct horse', 'ann'],
    ['the same letters in another Unicode form', 'zoe\u0308', 'päßwörd 🛒'],
  ])('finds nobody with %s', (_, name, password) => {
    expect(findUser(users, { name, password })).toBeUndefined()
  })

  test('finds nobody where there are no users', () => {
    expect(findUser([], { name: '', password: '' })).toBeUndefined()
  })

  test('tells users of the same name apart by their passwords', () => {
    const old = { name: 'ann', password: 'old one', role: 'viewer' }
    expect(findUser([old, ann], { name: 'ann', password: 'old one' })).toBe(old)
    expect(findUser([old, ann], { name: 'ann', password: ann.password })).toBe(ann)
  })
})
