-- Seats held for a while, without a status, and with numbers for times: a hold is open while closed_at is 0.
-- env ORDERS_TABLE=ticketing.seat_holds
-- env ORDERS_STATUS_COLUMN=
-- env ORDERS_DEADLINE_COLUMN=held_until
-- env ORDERS_DEADLINE_UNIT=s
-- env ORDERS_CONDITION=closed_at = 0
-- env ORDERS_SET=closed_at = extract(epoch FROM now())::integer, closed_by = 'expiry'
-- cancelled closed_by = 'expiry'
-- also closed_at BETWEEN held_until AND held_until + 60
CREATE SCHEMA ticketing;
CREATE TABLE ticketing.seat_holds (
  id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  seat text NOT NULL,
  held_until integer NOT NULL,
  closed_at integer NOT NULL DEFAULT 0,
  closed_by text,
  expect text NOT NULL
);
INSERT INTO ticketing.seat_holds (seat, held_until, closed_at, closed_by, expect)
SELECT kind || n, CASE WHEN due IS NULL THEN 0 ELSE extract(epoch FROM now() + due::interval)::integer END,
  CASE WHEN closed THEN extract(epoch FROM now())::integer ELSE 0 END, CASE WHEN closed THEN 'buyer' END, expect
FROM generate_series(1, 20) n, (VALUES
  ('A', '4 seconds', false, 'cancelled'),
  ('B', '4 seconds', true, 'kept'),
  ('C', '1 hour', false, 'later'),
  ('D', '-2 years', false, 'backlog'),
  ('E', NULL, false, 'unreadable')) v (kind, due, closed, expect);
