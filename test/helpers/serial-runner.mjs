import TestRunner from 'jest-runner'

/** Runs one test file at a time, when the files of all other projects have run: the machine is theirs alone. */
export default class SerialRunner extends TestRunner {
  isSerial = true
}
