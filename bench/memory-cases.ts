/** What the ids are, and which settings Redis has. */
export const CASES = {
  uuidEmbedded: 'UUID, embedded Redis',
  uuidDefault: 'UUID, default Redis',
  bigintEmbedded: 'bigint, embedded Redis',
  bigintDefault: 'bigint, default Redis',
} as const
