/** The cases of the question `columns`. */
export const CASES = { without: 'without', all: 'with all three' } as const
