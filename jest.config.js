/** @type {import('jest').Config} */
export default {
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  testEnvironment: 'node',
  globalSetup: '<rootDir>/test/helpers/global-setup.ts',
  globalTeardown: '<rootDir>/test/helpers/global-teardown.ts',
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
  // One at a time: where a promise itself is a time, the machine must not be busy with another test.
  maxWorkers: 1,
  testTimeout: 60_000,
}
