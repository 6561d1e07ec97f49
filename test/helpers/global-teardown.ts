export default async function teardown(): Promise<void> {
  await Promise.all((globalThis.testServers ?? []).map((server) => server.stop()))
}
