import type { FastifyInstance } from 'fastify'
import { type Api, registerApi } from './api/api.ts'
import { registerOpenApi } from './api/openapi.ts'
import { requireBasic, type User } from './basic.ts'
import type { Board } from './board/board.ts'
import { type Pages, registerPages } from './pages/pages.ts'
import { type Probes, registerProbes } from './probes.ts'

/** Everything that is served, by whom it is for. */
interface Routes {
  /** For whatever looks after the process: open to all. */
  probes: Probes
  /** For services: `/v1` wants a token. */
  api: Api
  /** For people: the pages and the board want one of the users. Without any they are open if `isOpen`, else closed. */
  people: { users: readonly User[]; isOpen: boolean; pages: Pages; board: Board }
}

/** Afterwards the server has all its routes. */
export async function registerRoutes(server: FastifyInstance, { probes, api, people }: Routes): Promise<void> {
  registerProbes(server, probes)
  await registerOpenApi(server, people.pages.vitals)
  await registerApi(server, api)
  await server.register(async (scope) => {
    const roleOf = await requireBasic(scope, people)
    registerPages(scope, people.pages)
    await people.board.register(scope, roleOf)
  })
}
