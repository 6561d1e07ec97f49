import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'

test('from schedule to Redis there are at most 11 functions in 7 files', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [resolve('scripts/schedule-path.mjs')])
  const { functions, files, path } = JSON.parse(stdout) as { functions: number; files: number; path: string[] }
  expect(path[0]).toMatch(/^client\/client\.js:\d+ schedule$/)
  expect(path.at(-1)).toMatch(/^redis\//)
  expect(path).toHaveLength(functions)
  expect(functions).toBeLessThanOrEqual(11)
  expect(files).toBeLessThanOrEqual(7)
})
