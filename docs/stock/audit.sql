-- Each sku that does not add up with the orders, and what it should be. No row: all is well.
SELECT s.sku, s.reserved, s.sold,
       coalesce(o.reserved, 0) AS should_be_reserved, coalesce(o.sold, 0) AS should_be_sold
FROM stock s
LEFT JOIN (
  SELECT l.sku,
         sum(l.quantity) FILTER (WHERE o.status = 'pending') AS reserved,
         sum(l.quantity) FILTER (WHERE o.status = 'paid') AS sold
  FROM order_lines l JOIN orders o ON o.id = l.order_id
  GROUP BY l.sku
) o ON o.sku = s.sku
WHERE (s.reserved, s.sold) <> (coalesce(o.reserved, 0), coalesce(o.sold, 0))
