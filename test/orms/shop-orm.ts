/** An order as a shop has it in memory. */
export interface LoadedOrder {
  /** Sets the status and saves the order as most shops do: by its id alone. */
  confirm(): Promise<unknown>
  /** Writes a note and saves the order as most shops do. */
  annotate(): Promise<unknown>
  /** The ORM's own object, which the code of the docs calls `order`. */
  order: unknown
}

/** A shop's way to its orders. */
export interface ShopOrm {
  /** What the code of the docs finds there, by name. */
  names: Record<string, unknown>
  load(id: string): Promise<LoadedOrder>
  close(): Promise<void>
}

/** The orders table that an ORM is pointed at. */
export interface ShopDatabase {
  url: string
  schema: string
}

/** What an ORM gives for an order that must be there. */
export function present<T>(order: T | null | undefined): T {
  if (order === null || order === undefined) throw new Error('expected the order to be there')
  return order
}
