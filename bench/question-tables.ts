import { distinct, medianOf, medianRatio } from './figures.ts'
import type { Column, Measured, Question } from './question.ts'
import { type Cell, formatNumber, formatRatio, type Row, type Table } from './table.ts'

export const OURS = 'ours'

/** What the tables need to know of a question; a whole one, or what the JSON has kept of it. */
export type Asked = Pick<Question, 'name' | 'title' | 'columns'>

/**
 * The tables of one question: medians over the rounds, and behind each its ratio to ours. Contenders are the rows; the cases
 * are, where there is only one contender. A table for each case, or one for all where there is only one figure.
 */
export function questionTables(question: Asked, all: readonly Measured[]): Table[] {
  const measured = all.filter((one) => one.question === question.name)
  const contenders = distinct(measured.map(({ contender }) => contender)).sort(oursFirst)
  const cases = distinct(measured.map((one) => one.case))
  const { name, columns } = question
  const cell = (of: { contender: string; case: string; column: Column }): Cell => {
    const figure = { question: name, contender: of.contender, case: of.case, key: of.column.key }
    const value = medianOf(measured, figure)
    if (value === undefined) return { text: '–' }
    const text = formatNumber(value, of.column.decimals)
    const ratio = of.contender === OURS ? undefined : medianRatio(measured, figure, { ...figure, contender: OURS })
    return ratio === undefined ? { text } : { text, note: formatRatio(ratio) }
  }
  const row = (contender: string, cells: Cell[]): Row => ({ name: contender, cells, isOurs: contender === OURS })

  const [only] = columns
  if (columns.length === 1 && only && cases.length > 1) {
    const rows = contenders.map((contender) =>
      row(
        contender,
        cases.map((ofCase) => cell({ contender, case: ofCase, column: only })),
      ),
    )
    return [{ heading: titleOf(only), head: ['', ...cases], rows }]
  }
  const [alone] = contenders
  if (contenders.length === 1 && alone && cases.length > 1) {
    const rows = cases.map((ofCase) => ({
      name: ofCase,
      cells: columns.map((column) => cell({ contender: alone, case: ofCase, column })),
    }))
    return [{ heading: '', head: ['', ...columns.map(titleOf)], rows }]
  }
  return cases.map((ofCase) => {
    const ofThis = measured.filter((one) => one.case === ofCase)
    const shown = columns.filter(({ key }) => ofThis.some(({ figures }) => figures[key] !== undefined))
    const rows = contenders
      .filter((contender) => ofThis.some((one) => one.contender === contender))
      .map((contender) =>
        row(
          contender,
          shown.map((column) => cell({ contender, case: ofCase, column })),
        ),
      )
    return { heading: ofCase, head: ['', ...shown.map(titleOf)], rows }
  })
}

function titleOf({ title, unit }: Column): string {
  return unit ? `${title}, ${unit}` : title
}

function oursFirst(a: string, b: string): number {
  return Number(b === OURS) - Number(a === OURS)
}
