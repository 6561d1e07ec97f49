/** Makes sure that a process does not outlive this one. @returns call it once the process has ended */
export function killOnExit(pid: number, signal: NodeJS.Signals = 'SIGKILL'): () => void {
  const kill = () => {
    try {
      process.kill(pid, signal)
    } catch {
      // It has ended already.
    }
  }
  process.on('exit', kill)
  return () => void process.off('exit', kill)
}
