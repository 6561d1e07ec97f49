// Loaded with `node --import`: the installed BullMQ is another one, in which one script is not written as it was.
import { Redis } from 'ioredis'

const { defineCommand } = Redis.prototype
Redis.prototype.defineCommand = function (name, { lua, ...rest }) {
  const isOther = name.startsWith('moveToFinished:')
  defineCommand.call(this, name, { lua: isOther ? `${lua}\n-- of another version` : lua, ...rest })
}
