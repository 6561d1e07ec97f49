import { allowSharedServers } from './shared-servers.ts'

export default function setup(): void {
  allowSharedServers()
}
