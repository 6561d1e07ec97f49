-- A shop on Sequelize: quoted camelCase, an enum of its own for each column, paranoid deletes, an optimistic version.
-- env ORDERS_TABLE=Orders
-- env ORDERS_DEADLINE_COLUMN=expiresAt
-- env ORDERS_UNPAID_STATUSES=pending,awaiting_payment
-- env ORDERS_CONDITION="deletedAt" IS NULL
-- env ORDERS_SET="updatedAt" = now(), version = version + 1
-- cancelled status = 'cancelled'
-- also version = 1 AND "updatedAt" > now() - interval '1 minute'
CREATE TYPE "enum_Orders_status" AS ENUM ('pending', 'awaiting_payment', 'paid', 'cancelled');
CREATE TABLE "Orders" (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  status "enum_Orders_status" NOT NULL DEFAULT 'pending',
  "expiresAt" timestamp with time zone,
  version integer NOT NULL DEFAULT 0,
  "createdAt" timestamp with time zone NOT NULL DEFAULT now(),
  "updatedAt" timestamp with time zone NOT NULL DEFAULT '2020-01-01 00:00+00',
  "deletedAt" timestamp with time zone,
  expect text NOT NULL
);
INSERT INTO "Orders" (status, "expiresAt", "deletedAt", expect)
SELECT status::"enum_Orders_status", now() + due::interval, CASE WHEN deleted THEN now() END, expect
FROM generate_series(1, 20) n, (VALUES
  ('pending', '4 seconds', false, 'cancelled'),
  ('awaiting_payment', '4 seconds', false, 'cancelled'),
  ('paid', '4 seconds', false, 'kept'),
  ('pending', '4 seconds', true, 'kept'),
  ('pending', NULL, false, 'later'),
  ('pending', '1 hour', false, 'later'),
  ('pending', '-2 years', false, 'backlog')) v (status, due, deleted, expect);
