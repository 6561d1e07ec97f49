/** The table of all contenders, with the index that our `doctor` asks for, by which unpaid orders are found. */
export const ORDERS_SQL = `
CREATE TABLE orders (
  id text PRIMARY KEY,
  status text NOT NULL,
  paid_at timestamptz,
  payment_deadline timestamptz NOT NULL,
  cancelled_at timestamptz,
  settled_at timestamptz
);
CREATE FUNCTION settle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  NEW.settled_at := clock_timestamp();
  RETURN NEW;
END $$;
CREATE TRIGGER settle BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION settle();
CREATE INDEX orders_unpaid ON orders (payment_deadline, id) WHERE status IN ('pending') AND paid_at IS NULL;`
