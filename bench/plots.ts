import { growthPlot } from './plot-growth.ts'
import { latenessPlot } from './plot-lateness.ts'
import { nameOfRun, pathOf, type Results, writeText } from './results.ts'

/**
 * Draws what was measured: of a whole run into docs/, of any other one beside its results.
 *
 * @returns the paths of the files
 */
export function writePlots(results: Results): string[] {
  const run = nameOfRun(results)
  const plots = { lateness: latenessPlot(results.measured), growth: growthPlot(results.measured) }
  return Object.entries(plots).flatMap(([name, plot]) => {
    if (plot === undefined) return []
    const path = run === 'latest' ? `docs/performance-${name}.svg` : pathOf(run, `-${name}.svg`)
    writeText(path, plot)
    return [path]
  })
}
