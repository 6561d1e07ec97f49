// Loaded into a daemon with `node --import`: from SIGUSR2 on, no claim of a worker ever comes to an end.
import { Redis } from 'ioredis'

const { defineCommand, sendCommand } = Redis.prototype
const claims = new Set()
let isStuck = false
process.on('SIGUSR2', () => {
  isStuck = true
})
Redis.prototype.defineCommand = function (name, script) {
  defineCommand.call(this, name, script)
  if (name === 'order-expiry:claim') claims.add(this.scriptsSet[name].sha)
}
Redis.prototype.sendCommand = function (command, ...rest) {
  const isClaim = /^eval(sha)?$/.test(command.name) && claims.has(command.args[0])
  return isStuck && isClaim ? new Promise(() => {}) : sendCommand.call(this, command, ...rest)
}
