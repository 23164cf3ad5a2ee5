"""psycopg 3, psycopg2, asyncpg and SQLAlchemy against the server that the first argument names; exits 0 when all held."""

import asyncio
import datetime
import decimal
import json
import sys
import uuid

import asyncpg
import psycopg
import psycopg2
import sqlalchemy as sa

url = sys.argv[1]
now = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone.utc)
key = uuid.UUID("c0405d9c-2a1d-4965-8142-87098f0c87c8")
day = datetime.date(2026, 1, 2)
row = ([1, 2], {"a": 1}, decimal.Decimal("1.50"), now, key, b"\x00\xff", day, "h\u00e9")


def equal(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


def psycopg3():
    with psycopg.connect(url) as c, c.cursor() as k:
        k.execute(
            "create table p3(id serial primary key, a int[], j jsonb, n numeric, t timestamptz, u uuid, b bytea, d date, x text)"
        )
        insert = "insert into p3(a, j, n, t, u, b, d, x) values (%s, %s, %s, %s, %s, %s, %s, %s) returning id"
        k.execute(insert, (row[0], json.dumps(row[1]), *row[2:]))
        equal(k.fetchone(), (1,))
        for binary in (False, True):
            k.execute("select a, j, n, t, u, b, d, x from p3 where id = %s", (1,), binary=binary)
            equal(k.fetchone(), row)
        k.executemany("insert into p3(x) values (%s)", [(str(i),) for i in range(100)])
        with k.copy("copy p3(x) from stdin") as copy:
            for i in range(10):
                copy.write_row((f"c{i}\t\\",))
        with k.copy("copy (select x from p3 where id > 109 order by id) to stdout") as copy:
            equal(list(copy.rows()), [("c8\t\\",), ("c9\t\\",)])
        c.commit()
        try:
            with c.transaction():
                c.execute("insert into p3(id) values (1)")
        except psycopg.errors.UniqueViolation as e:
            equal(e.diag.constraint_name, "p3_pkey")
        else:
            raise AssertionError("a second row with one key")
        with c.pipeline():
            cursors = [c.execute("select %s::int", (i,)) for i in range(5)]
        equal([cursor.fetchone() for cursor in cursors], [(i,) for i in range(5)])
        with c.cursor("named") as named:
            named.execute("select generate_series(1, 10)")
            equal(named.fetchmany(3), [(1,), (2,), (3,)])


def psycopg_2():
    c = psycopg2.connect(url)
    k = c.cursor()
    k.execute("select a, j, n, t, u::text, d, x from p3 where id = %s", (1,))
    equal(k.fetchone(), (*row[:4], str(key), *row[6:]))
    c.close()


async def asyncpg_():
    c = await asyncpg.connect(url)
    found = await c.fetchrow("select a, j::text, n, t, u, b, d, x from p3 where id = $1", 1)
    equal(tuple(found), (row[0], '{"a": 1}', *row[2:]))
    async with c.transaction():
        await c.copy_records_to_table("p3", records=[("z",), (None,)], columns=["x"])
    equal(await c.fetchval("select count(*) from p3"), 113)
    found = await c.fetchrow("select $1::int[] as a, row(1, 'a') as r, '1 day'::interval as i", [1, None])
    equal(tuple(found), ([1, None], (1, "a"), datetime.timedelta(days=1)))
    await c.close()


def sqlalchemy_():
    engine = sa.create_engine(url.replace("postgres://", "postgresql+psycopg2://"))
    meta = sa.MetaData()
    person = sa.Table(
        "sa_person",
        meta,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(50), unique=True, nullable=False),
        sa.Column("kind", sa.Enum("a", "b", name="sa_kind")),
    )
    order = sa.Table(
        "sa_order",
        meta,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("person_id", sa.ForeignKey("sa_person.id", ondelete="CASCADE"), index=True),
        sa.Column("total", sa.Numeric(10, 2)),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now()),
    )
    meta.create_all(engine)
    with engine.begin() as c:
        c.execute(person.insert(), [{"name": f"n{i}", "kind": "a"} for i in range(5)])
        c.execute(order.insert(), [{"person_id": 1, "total": decimal.Decimal("2.50")}])
        found = c.execute(sa.select(person.c.name, order.c.total).select_from(person.join(order))).all()
        equal([tuple(r) for r in found], [("n0", decimal.Decimal("2.50"))])
    inspector = sa.inspect(engine)
    equal({"sa_person", "sa_order"} <= set(inspector.get_table_names()), True)
    equal([str(c["type"]) for c in inspector.get_columns("sa_order")], ["INTEGER", "INTEGER", "NUMERIC(10, 2)", "TIMESTAMP"])
    (foreign,) = inspector.get_foreign_keys("sa_order")
    equal((foreign["referred_table"], foreign["options"]), ("sa_person", {"ondelete": "CASCADE"}))
    equal([i["name"] for i in inspector.get_indexes("sa_order")], ["ix_sa_order_person_id"])
    equal(inspector.get_unique_constraints("sa_person")[0]["column_names"], ["name"])
    equal([e["labels"] for e in inspector.get_enums()], [["a", "b"]])
    reflected = sa.MetaData()
    reflected.reflect(engine)
    equal({"p3", "sa_order", "sa_person"} <= set(reflected.tables), True)
    meta.drop_all(engine)


psycopg3()
psycopg_2()
asyncio.run(asyncpg_())
sqlalchemy_()
