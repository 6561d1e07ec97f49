import { createHash } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { Guesses } from '../../../src/http/guesses.ts'
import { FakeClock } from '../../helpers/fake-clock.ts'

const digestOf = (text: string) => createHash('sha256').update(text).digest()
const RIGHT = digestOf('right')
const ME = '192.0.2.1'
/** Another address for each number. */
const addressOf = (n: number) => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`

function createGuesses() {
  const clock = new FakeClock()
  const guesses = new Guesses({ clock })
  /** How many wrong guesses were compared. */
  const guess = (count: number, from: (n: number) => string) => {
    let compared = 0
    for (let n = 0; n < count; n++) {
      const address = from(n)
      if (guesses.secondsToWait({ address, digest: digestOf(`wrong ${n}`) }) > 0) continue
      guesses.countWrong(address)
      compared++
    }
    return compared
  }
  const waitOf = (address: string, digest = RIGHT) => guesses.secondsToWait({ address, digest })
  return { guesses, clock, guess, waitOf }
}

describe('wrong guesses', () => {
  test('of one address: 20 in a minute are compared', async () => {
    const { guess, waitOf, clock } = createGuesses()
    expect(guess(19, () => ME)).toBe(19)
    expect(waitOf(ME)).toBe(0)
    expect(guess(10_000, () => ME)).toBe(1)
    expect([waitOf(ME), waitOf('192.0.2.2')]).toEqual([60, 0])
    await clock.advance(59_001)
    expect(waitOf(ME)).toBe(1)
    await clock.advance(999)
    expect(guess(100, () => ME)).toBe(20)
  })

  test('of two thousand addresses: one each, after 200 in all; who knows the password comes in from anywhere', () => {
    const { guess, waitOf } = createGuesses()
    expect(guess(20_000, (n) => addressOf(n % 2_000))).toBe(2_000)
    expect(waitOf(ME)).toBe(0)
    expect(guess(2, () => ME)).toBe(1)
  })

  test('of any number of addresses: no more than ten thousand, then only those who were right before go on', () => {
    const { guesses, guess, waitOf } = createGuesses()
    guesses.rememberRight({ address: ME, digest: RIGHT })
    expect(guess(50_000, addressOf)).toBe(10_000)
    expect(guesses.addresses).toBe(10_000)
    expect(waitOf(ME)).toBe(0)
    expect([waitOf(ME, digestOf('wrong')), waitOf('192.0.2.2')]).toEqual([60, 60])
  })

  test.each([
    ['2001:db8:0:1::1', '2001:db8:0:1:ffff::'],
    ['2001:db8:0:1::1', '2001:0DB8:0000:0001:0:0:0:3'],
    ['2001:db8:0:1::1', '2001:db8:0:1::9%eth0'],
    ['2001:db8::1', '2001:db8::2:0:0:1'],
    ['192.0.2.9', '::ffff:192.0.2.9'],
    ['unknown', 'unknown'],
  ])('of %s and %s are those of one', (one, other) => {
    const { guess } = createGuesses()
    expect(guess(100, (n) => (n % 2 ? one : other))).toBe(20)
  })

  test.each([
    ['2001:db8:0:1::1', '2001:db8:0:2::1'],
    ['::1', '1::'],
    ['::ffff:192.0.2.9', '::ffff:192.0.2.10'],
    ['2001:db8::1', '2001:db8::1:0:0:0:1'],
  ])('of %s and %s are those of two', (one, other) => {
    const { guess } = createGuesses()
    expect(guess(100, (n) => (n % 2 ? one : other))).toBe(40)
  })
})

describe('credentials that were right', () => {
  test('go on from there, whatever is guessed beside them; from nowhere else', () => {
    const { guesses, guess, waitOf } = createGuesses()
    guesses.rememberRight({ address: ME, digest: RIGHT })
    guess(100, (n) => (n % 2 ? ME : '192.0.2.2'))
    expect([waitOf(ME), waitOf(ME, digestOf('other')), waitOf('192.0.2.2')]).toEqual([0, 60, 60])
  })

  test('are remembered for ten thousand, those that are used the longest', () => {
    const { guesses, guess, waitOf } = createGuesses()
    const remember = (address: string) => guesses.rememberRight({ address, digest: RIGHT })
    for (const address of [ME, '192.0.2.2']) remember(address)
    for (let n = 0; n < 9_999; n++) {
      remember(addressOf(n))
      remember(ME)
    }
    guess(100, (n) => (n % 2 ? ME : '192.0.2.2'))
    expect([waitOf(ME), waitOf('192.0.2.2')]).toEqual([0, 60])
  })
})
