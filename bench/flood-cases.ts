/** The cases of the question `flood`. */
export const CASES = {
  none: 'no flood',
  readyz: '/readyz, 2,500 connections',
  metrics: '/metrics, 2,500 connections',
  arrivals: '/livez, 800 new connections, 1 KB heads',
  pipelines: '/livez, 800 connections, pipelined',
} as const
