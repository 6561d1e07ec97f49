/** How many other orders there are while the rate is measured. */
export const CASES = {
  tenThousand: '10 thousand waiting',
  hundredThousand: '100 thousand waiting',
  million: '1 million waiting',
  tenMillionRows: '1 million waiting, 10 million rows',
} as const
