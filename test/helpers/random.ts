/** A seeded source of chance: the same seed, and the same name if one is given, give the same numbers. */
export class Random {
  #state: number

  /** @param name keeps apart sources that share a seed */
  constructor(seed: number, name = '') {
    this.#state = (name === '' ? seed : seed ^ hashOf(name)) >>> 0
  }

  /** From 0, below 1. mulberry32, by Tommy Ettinger (public domain). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1))
  }

  pick<T>(items: readonly T[]): T {
    return items[this.between(0, items.length - 1)] as T
  }

  /** One of the names, each with its weight. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
    const entries = Object.entries(weights) as [Name, number][]
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [name, weight] of entries) {
      left -= weight
      if (left < 0) return name
    }
    return (entries.at(-1) as [Name, number])[0]
  }
}

/** FNV-1a. */
export function hashOf(text: string): number {
  let result = 0x811c9dc5
  for (let n = 0; n < text.length; n++) result = Math.imul(result ^ text.charCodeAt(n), 0x01000193)
  return result
}
