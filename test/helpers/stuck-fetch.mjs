// Loaded into a daemon with `node --import`: from SIGUSR2 on, no fetch of a worker ever comes to an end.
import { Worker } from 'bullmq'

const { moveToActive } = Worker.prototype
let isStuck = false
process.on('SIGUSR2', () => {
  isStuck = true
})
Worker.prototype.moveToActive = function (...args) {
  return isStuck ? new Promise(() => {}) : moveToActive.apply(this, args)
}
