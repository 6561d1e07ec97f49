/** Whose payment may be closed when: providers limit the calls of all processes together. */
export interface Turns {
  /**
   * Takes the turn of an order, or keeps one for it: whoever comes back for it within seconds after that time has it. Never rejects,
   * and takes a bounded time.
   *
   * @returns milliseconds until its turn
   */
  take(orderId: string): Promise<number>
}
