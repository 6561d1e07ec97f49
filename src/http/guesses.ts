import { isIPv6 } from 'node:net'
import type { Clock } from '../runtime/clock.ts'

const WINDOW_MS = 60_000
/** Wrong guesses of one address within a window. */
const MOST_OF_ADDRESS = 20
/** Of all addresses together. Beyond it each has a single guess: whoever knows the password needs no second one. */
const MOST_IN_ALL = 200
/** Addresses with wrong guesses, and right credentials by address. Bounds the memory, and the guesses of a whole botnet. */
const MOST_REMEMBERED = 10_000
const LONGEST_ADDRESS = 64

/**
 * Wrong passwords and tokens are counted by address (IPv6: by /64, which one customer has). Once an address has guessed too
 * often, nothing it sends is compared any more until the window ends, so that guessing on tells it nothing. Excepted are the
 * credentials that were right from there before: neighbours behind the same proxy keep working.
 */
export class Guesses {
  readonly #clock: Clock
  /** Wrong guesses that were compared in this window. */
  readonly #wrong = new Map<string, number>()
  readonly #right = new Set<string>()
  #inAll = 0
  #endsAt = Number.NEGATIVE_INFINITY

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock
  }

  /** Addresses that have guessed wrong in this window. */
  get addresses(): number {
    return this.#wrong.size
  }

  /** In seconds, until these credentials may be compared; 0: now. */
  secondsToWait({ address, digest }: { address: string; digest: Buffer }): number {
    const now = this.#clock.monotonic()
    if (now >= this.#endsAt) this.#beginWindow(now)
    const network = networkOf(address)
    if (!this.#isLimited(network) || this.#right.has(keyOf(network, digest))) return 0
    return Math.ceil((this.#endsAt - now) / 1_000)
  }

  countWrong(address: string): void {
    const network = networkOf(address)
    this.#wrong.set(network, (this.#wrong.get(network) ?? 0) + 1)
    this.#inAll++
  }

  rememberRight({ address, digest }: { address: string; digest: Buffer }): void {
    const key = keyOf(networkOf(address), digest)
    // The one that was right longest ago goes first.
    this.#right.delete(key)
    this.#right.add(key)
    const [oldest] = this.#right
    if (this.#right.size > MOST_REMEMBERED && oldest !== undefined) this.#right.delete(oldest)
  }

  #beginWindow(now: number): void {
    this.#wrong.clear()
    this.#inAll = 0
    this.#endsAt = now + WINDOW_MS
  }

  #isLimited(network: string): boolean {
    const wrong = this.#wrong.get(network)
    if (wrong === undefined) return this.#wrong.size >= MOST_REMEMBERED
    return wrong >= MOST_OF_ADDRESS || this.#inAll >= MOST_IN_ALL
  }
}

function keyOf(network: string, digest: Buffer): string {
  return `${network} ${digest.toString('base64')}`
}

/** @param address as a proxy may also write it; what is no address stands for itself */
function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  if (!isIPv6(address)) return address.slice(0, LONGEST_ADDRESS)
  const [head = '', tail] = address.split('::').map((part) => part.split(':').filter((group) => group !== ''))
  const zeros = tail ? new Array(8 - head.length - tail.length).fill('0') : []
  const groups = [...head, ...zeros, ...(tail ?? [])].slice(0, 4)
  return groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')
}
