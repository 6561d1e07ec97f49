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
  transformIgnorePatterns: ['/node_modules/(?!(cookie|content-disposition)/)', '/dist/'],
}
const withServers = {
  globalSetup: '<rootDir>/test/helpers/global-setup.ts',
  globalTeardown: '<rootDir>/test/helpers/global-teardown.ts',
}
const tests = (...folders) => folders.map((folder) => `<rootDir>/test/${folder}.test.ts`)

/**
 * Three projects, by what their tests need. A file whose name ends in `.long.test.ts` belongs to one of them, too; `npm test`
 * leaves it out, `npm run test:rest` runs nothing else.
 *
 * @type {import('jest').Config}
 */
export default {
  maxWorkers: '100%',
  testTimeout: 60_000,
  projects: [
    // No server, no build.
    {
      ...shared,
      displayName: 'pure',
      testMatch: tests('*', 'unit/**/*', 'deploy/*', 'simulation/*', 'faults/{cases,harness}/*'),
    },
    // Redis and PostgreSQL, which the files share, each under names of its own.
    { ...shared, ...withServers, displayName: 'servers', testMatch: tests('{contract,integration,daemon}/*') },
    // Processes of the built daemon, or a promise that is itself a time: nothing else may run beside them.
    {
      ...shared,
      ...withServers,
      displayName: 'timed',
      testMatch: tests('{timed,browser,faults}/*'),
      runner: '<rootDir>/test/helpers/serial-runner.mjs',
    },
  ],
}
