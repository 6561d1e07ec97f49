/** The cases of the question `flood`. */
export const CASES = {
  none: 'no flood',
  readyz: '/readyz, 2,500 connections',
  metrics: '/metrics, 2,500 connections',
  pipelines: '/livez, 800 connections, pipelined',
} as const
