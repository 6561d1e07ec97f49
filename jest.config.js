import { availableParallelism } from 'node:os'

const shared = {
  testEnvironment: 'node',
  transform: {
    '\\.[jt]s$': [
      '@swc/jest',
      {
        jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
        module: { type: 'commonjs' },
        sourceMaps: 'inline',
      },
    ],
  },
  // Packages that exist as ES modules only, which Jest cannot require.
  transformIgnorePatterns: ['/node_modules/(?!marked/)', '/dist/'],
}
const withServers = {
  globalSetup: '<rootDir>/test/helpers/global-setup.ts',
  globalTeardown: '<rootDir>/test/helpers/global-teardown.ts',
}
const tests = (...folders) => folders.map((folder) => `<rootDir>/test/${folder}.test.ts`)

/**
 * Three projects, by what their tests need. `npm test` leaves out the files named `*.long.test.ts`, of any project, and
 * `npm run test:rest` runs nothing else.
 *
 * @type {import('jest').Config}
 */
export default {
  maxWorkers: availableParallelism() + 1, // most tests wait for a server most of the time
  testTimeout: 60_000,
  projects: [
    // They need no server and no build.
    {
      ...shared,
      displayName: 'pure',
      testMatch: tests('*', 'unit/**/*', 'deploy/*', 'simulation/*', 'faults/{cases,harness}/*'),
    },
    // Their files share a Redis and a PostgreSQL, each under names of its own; whoever changes a whole server starts one.
    {
      ...shared,
      ...withServers,
      displayName: 'servers',
      testMatch: tests('{contract,differential,integration,daemon,http-client,library,nestjs,orms,shops}/*'),
    },
    // They assert a time, so nothing else may run beside them.
    {
      ...shared,
      ...withServers,
      displayName: 'timed',
      testMatch: tests('{timed,browser,faults}/*'),
      runner: '<rootDir>/test/helpers/serial-runner.mjs',
    },
  ],
}
