import { execFileSync } from 'node:child_process'

/** Runs a command as root, who alone can give files away. */
export function asRoot(...command: string[]): void {
  const [program, ...args] = process.getuid?.() === 0 ? command : ['sudo', '-n', ...command]
  execFileSync(program as string, args)
}
