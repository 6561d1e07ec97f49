import { stopSharedServers } from './shared-servers.ts'

export default async function teardown(): Promise<void> {
  await stopSharedServers()
}
