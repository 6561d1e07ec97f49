import { createHash, timingSafeEqual } from 'node:crypto'

export interface Credentials {
  name: string
  password: string
}

/** The user with this name and password. Takes the same time whether the name, the password or nothing is right. */
export function findUser<User extends Credentials>(users: readonly User[], given: Credentials): User | undefined {
  const [name, password] = [digest(given.name), digest(given.password)]
  // Every user is compared, whoever is found.
  const found = users.filter((user) => {
    const isName = timingSafeEqual(digest(user.name), name)
    const isPassword = timingSafeEqual(digest(user.password), password)
    return isName && isPassword
  })
  return found.at(-1)
}

/** Of equal length for all texts, so that they can be compared in constant time. */
export function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
