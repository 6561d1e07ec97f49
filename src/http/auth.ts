import { createHash, timingSafeEqual } from 'node:crypto'

export interface Credentials {
  name: string
  password: string
}

/**
 * The user with this name and password. Takes the same time whether the name, the password or nothing is right: every
 * user is compared, by digests of equal length.
 */
export function findUser<User extends Credentials>(users: readonly User[], given: Credentials): User | undefined {
  let found: User | undefined
  for (const user of users) {
    const nameIsRight = equal(user.name, given.name)
    const passwordIsRight = equal(user.password, given.password)
    if (nameIsRight && passwordIsRight) found = user
  }
  return found
}

function equal(a: string, b: string): boolean {
  return timingSafeEqual(digest(a), digest(b))
}

/** Of equal length for all, so that they can be compared in constant time. */
export function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
