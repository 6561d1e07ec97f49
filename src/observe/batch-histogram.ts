/**
 * A histogram without labels for many values at once: that of prom-client looks up its labels for each. To a registry it is
 * like any other. https://prometheus.io/docs/concepts/metric_types/#histogram
 */
export class BatchHistogram {
  readonly name: string
  readonly help: string
  readonly type = 'histogram'
  readonly #bounds: readonly number[]
  /** How many values are in each bucket alone; the last one has no bound. */
  readonly #counts: number[]
  #sum = 0

  constructor({ name, help, buckets }: { name: string; help: string; buckets: readonly number[] }) {
    this.name = name
    this.help = help
    this.#bounds = [...buckets, Number.POSITIVE_INFINITY]
    this.#counts = this.#bounds.map(() => 0)
  }

  observe(value: number): void {
    const place = this.#bounds.findIndex((bound) => value <= bound)
    ;(this.#counts[place] as number)++
    this.#sum += value
  }

  /** What prom-client prints. */
  async get() {
    const { name, help, type } = this
    let count = 0
    const buckets = this.#bounds.map((bound, place) => {
      count += this.#counts[place] as number
      return {
        metricName: `${name}_bucket`,
        labels: { le: bound === Number.POSITIVE_INFINITY ? '+Inf' : bound },
        value: count,
      }
    })
    const ends = [
      { metricName: `${name}_sum`, labels: {}, value: this.#sum },
      { metricName: `${name}_count`, labels: {}, value: count },
    ]
    return { name, help, type, aggregator: 'sum', values: [...buckets, ...ends] }
  }
}
