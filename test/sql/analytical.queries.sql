-- northwind: revenue by category and year, with subtotals
select c.category_name, extract(year from o.order_date) as year, round(sum(d.unit_price::numeric * d.quantity * (1 - d.discount::numeric)), 2) as revenue, grouping(c.category_name, extract(year from o.order_date)) as level
from orders o join order_details d using (order_id) join products p using (product_id) join categories c using (category_id)
group by rollup (c.category_name, extract(year from o.order_date)) order by c.category_name nulls last, year nulls last;
-- northwind: best customer of each country
select country, company_name, spent from (
  select c.country, c.company_name, sum(d.quantity * d.unit_price::numeric)::numeric(12,2) as spent,
    row_number() over (partition by c.country order by sum(d.quantity * d.unit_price::numeric) desc, c.company_name) as place
  from customers c join orders o on o.customer_id = c.customer_id join order_details d on d.order_id = o.order_id
  group by c.country, c.company_name) ranked
where place = 1 order by spent desc, country;
-- northwind: who reports to whom
with recursive chain as (
  select employee_id, last_name, reports_to, 1 as depth, last_name::text as path from employees where reports_to is null
  union all
  select e.employee_id, e.last_name, e.reports_to, depth + 1, path || ' > ' || e.last_name from employees e join chain c on e.reports_to = c.employee_id)
select depth, path, (select count(*) from employees s where s.reports_to = chain.employee_id) as reports from chain order by path;
-- northwind: customers without orders
select c.customer_id, c.company_name from customers c where not exists (select 1 from orders o where o.customer_id = c.customer_id) order by 1;
-- northwind: products dearer than their category's mean
select p.product_name, p.unit_price, c.category_name, (select round(avg(unit_price)::numeric, 2) from products x where x.category_id = p.category_id) as mean
from products p left join categories c on c.category_id = p.category_id
where p.unit_price > (select avg(q.unit_price) from products q where q.category_id = p.category_id) order by c.category_name, p.product_name;
-- northwind: months, running totals and change
with monthly as (select date_trunc('month', order_date)::date as month, count(*) as orders, round(sum(freight::numeric), 2) as freight from orders group by 1)
select month, orders, freight, sum(freight) over (order by month) as running, orders - lag(orders) over w as change,
  round(avg(orders) over (order by month rows between 2 preceding and current row), 3) as moving, first_value(month) over w as first, ntile(4) over w as quarter
from monthly window w as (order by month) order by month;
-- northwind: delivery by shipper
select s.company_name, count(*) filter (where o.shipped_date > o.required_date) as late, count(*) filter (where o.shipped_date is null) as open,
  percentile_cont(0.5) within group (order by o.shipped_date - o.order_date) as median_days, percentile_disc(array[0.25, 0.75]) within group (order by o.shipped_date - o.order_date) as quartiles,
  mode() within group (order by o.ship_country) as busiest
from orders o join shippers s on s.shipper_id = o.ship_via group by s.company_name order by 1;
-- northwind: cube of employee and shipper
select e.last_name, s.company_name, count(*), grouping(e.last_name) as ge, grouping(s.company_name) as gs
from orders o join employees e using (employee_id) join shippers s on s.shipper_id = o.ship_via
where e.employee_id < 4 group by cube (e.last_name, s.company_name) having count(*) > 10 order by 4, 5, 1, 2;
-- northwind: pairs of products bought together
select a.product_id as first, b.product_id as second, count(*) as together from order_details a join order_details b on a.order_id = b.order_id and a.product_id < b.product_id
group by 1, 2 having count(*) > 5 order by together desc, 1, 2 limit 15;
-- northwind: latest order of every customer
select distinct on (customer_id) customer_id, order_id, order_date, ship_city, age(date '1998-06-01', order_date) as ago from orders order by customer_id, order_date desc, order_id desc limit 20;
-- northwind: products never sold in a country
select p.product_name from products p where p.product_id not in (select d.product_id from order_details d join orders o using (order_id) where o.ship_country = 'USA') order by 1;
-- northwind: territories as arrays and JSON
select r.region_id, trim(r.region_description) as region, count(distinct e.employee_id) as people,
  array_agg(distinct e.last_name order by e.last_name) as names, jsonb_object_agg(t.territory_id, trim(t.territory_description)) filter (where t.territory_id < '02000') as towns,
  string_agg(distinct left(t.territory_description, 3), ',' order by left(t.territory_description, 3)) as short
from region r join territories t using (region_id) join employee_territories et using (territory_id) join employees e using (employee_id) group by r.region_id, r.region_description order by 1;
-- northwind: everything that has a city
select city, count(*) as parties, sum((kind = 'customer')::int) as customers, bool_or(kind = 'supplier') as has_supplier from (
  select city, 'customer' as kind from customers union all select city, 'supplier' from suppliers union all select city, 'employee' from employees) x
group by city having count(*) > 2 order by 2 desc, 1;
-- northwind: countries with both, only and neither
(select country, 'both' as side from customers intersect select country, 'both' from suppliers)
union all (select country, 'customers' from customers except select country, 'customers' from suppliers)
union all (select country, 'suppliers' from suppliers except select country, 'suppliers' from customers) order by 2, 1;
-- northwind: weekdays and quarters
select to_char(order_date, 'YYYY"Q"Q') as quarter, extract(isodow from order_date)::int as day, trim(to_char(order_date, 'Day')) as name, count(*), min(order_date), max(order_date + interval '1 month') as later
from orders where order_date between '1997-01-01' and '1997-12-31' group by 1, 2, 3 order by 1, 2;
-- northwind: three best products of each category by lateral join
select c.category_name, t.* from categories c cross join lateral (
  select p.product_name, sum(d.quantity) as sold, dense_rank() over (order by sum(d.quantity) desc) as place from products p join order_details d using (product_id)
  where p.category_id = c.category_id group by p.product_id, p.product_name order by sold desc, 1 limit 3) t order by 1, place, 2;
-- northwind: orders a day, days without orders too
select d::date as day, count(o.order_id) as orders, coalesce(sum(o.freight::numeric), 0) as freight from generate_series(timestamp '1998-04-20', '1998-05-10', '1 day') d left join orders o on o.order_date = d::date
group by d order by d;
-- chinook: sales by genre and share
select g.name, count(*) as lines, sum(l.unit_price * l.quantity) as sales, round(100 * sum(l.unit_price * l.quantity) / sum(sum(l.unit_price * l.quantity)) over (), 2) as share,
  rank() over (order by sum(l.unit_price * l.quantity) desc) as place, cume_dist() over (order by count(*)) as cume
from invoice_line l join track t using (track_id) join genre g using (genre_id) group by g.genre_id, g.name order by sales desc, g.name;
-- chinook: invoices against the mean of the country
select i.invoice_id, i.billing_country, i.total, round(avg(i.total) over (partition by i.billing_country), 4) as mean, i.total - avg(i.total) over (partition by i.billing_country) as above,
  percent_rank() over (partition by i.billing_country order by i.total) as pr from invoice i where i.billing_country in ('Chile', 'Norway', 'India') order by 2, 3 desc, 1;
-- chinook: longest albums
select a.title, ar.name as artist, count(*) as tracks, make_interval(secs => sum(t.milliseconds) / 1000) as length, max(t.name collate "C") as last_track
from album a join artist ar using (artist_id) join track t using (album_id) group by a.album_id, a.title, ar.name having sum(t.milliseconds) > 5000000 order by sum(t.milliseconds) desc, a.title;
-- chinook: customers by frame
select c.customer_id, c.last_name, i.invoice_date, i.total, sum(i.total) over w as spent, count(*) over (w rows between 1 preceding and 1 following) as near,
  max(i.total) over (partition by c.customer_id order by i.invoice_date range between interval '1 year' preceding and current row) as year_max, nth_value(i.total, 2) over w as second
from customer c join invoice i using (customer_id) where c.customer_id in (1, 5, 59) window w as (partition by c.customer_id order by i.invoice_date) order by 1, 3;
-- chinook: artists without a track sold
select ar.name, count(distinct al.album_id) as albums, count(l.invoice_line_id) as lines from artist ar left join album al using (artist_id) left join track t using (album_id) left join invoice_line l using (track_id)
group by ar.artist_id, ar.name having count(l.invoice_line_id) = 0 and count(al.album_id) > 0 order by albums desc, ar.name limit 25;
-- chinook: full outer join of two years
select coalesce(a.country, b.country) as country, a.total as earlier, b.total as later, b.total - a.total as growth from
  (select billing_country as country, sum(total) as total from invoice where invoice_date < '2022-06-01' group by 1) a
  full join (select billing_country as country, sum(total) as total from invoice where invoice_date >= '2024-06-01' group by 1) b on a.country = b.country order by 1;
-- chinook: playlists
select p.name, count(pt.track_id) as tracks, coalesce(sum(t.bytes), 0) as bytes, pg_typeof(sum(t.bytes)) as type, count(distinct t.composer) as composers,
  regr_slope(t.bytes, t.milliseconds) is not null as sloped, min(t.name) filter (where t.composer is null) as anonymous
from playlist p left join playlist_track pt using (playlist_id) left join track t using (track_id) group by p.playlist_id, p.name order by p.playlist_id;
-- chinook: support staff by grouping sets
select e.first_name || ' ' || e.last_name as agent, c.country, date_part('year', i.invoice_date) as year, sum(i.total) as total, count(distinct c.customer_id) as customers
from employee e join customer c on c.support_rep_id = e.employee_id join invoice i using (customer_id) where c.country in ('USA', 'Canada', 'Brazil')
group by grouping sets ((1), (1, 2), (2, 3), ()) order by 1 nulls first, 2 nulls first, 3 nulls first;
