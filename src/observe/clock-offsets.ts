/** How far other clocks are ahead of ours, in milliseconds; undefined: not known. */
export interface ClockOffsets {
  readonly redis: number | undefined
  readonly store: number | undefined
}

/** Two clocks differ from here on: more than NTP leaves between two machines. */
export const CLOCKS_DIFFER_MS = 2_000
