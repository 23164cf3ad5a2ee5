import java.io.StringReader;
import java.math.BigDecimal;
import java.sql.*;
import java.time.LocalDate;
import java.util.*;

/** The PostgreSQL JDBC driver against the server whose JDBC URL is the first argument; exits 0 when all held. */
public class Drivers {
  static void equal(Object found, Object expected) {
    if (!Objects.equals(found, expected)) throw new AssertionError(found + " is not " + expected);
  }

  public static void main(String[] args) throws Exception {
    for (String mode : new String[] {"", "&preferQueryMode=simple", "&prepareThreshold=1"})
      try (Connection c = DriverManager.getConnection(args[0] + mode)) {
        statements(c, mode.contains("simple"));
        cursors(c);
        describe(c.getMetaData());
        equal(((org.postgresql.PGConnection) c).getCopyAPI().copyIn("copy j(name) from stdin", new StringReader("x\ny\n")), 2L);
        c.rollback();
      }
  }

  /** @param simple the driver's simple mode, which at 42.5 cannot write bytea into a statement */
  static void statements(Connection c, boolean simple) throws SQLException {
    c.createStatement().execute("drop table if exists j; create table j(id bigserial primary key,"
        + " name varchar(20) not null, n numeric(10,2), d date, b boolean, f float8, a int[], by bytea, u uuid,"
        + " constraint one_name unique(name))");
    UUID u = UUID.randomUUID();
    PreparedStatement p = c.prepareStatement(
        "insert into j(name,n,d,b,f,a,by,u) values(?,?,?,?,?,?,?,?)", Statement.RETURN_GENERATED_KEYS);
    for (int i = 0; i < 5; i++) {
      p.setString(1, "n" + i);
      p.setBigDecimal(2, new BigDecimal("1.5"));
      p.setObject(3, LocalDate.of(2026, 1, 2));
      p.setBoolean(4, true);
      p.setDouble(5, 1.25);
      p.setArray(6, c.createArrayOf("int4", new Integer[] {1, 2}));
      if (simple) p.setNull(7, Types.BINARY);
      else p.setBytes(7, new byte[] {0, -1});
      p.setObject(8, u);
      p.addBatch();
    }
    equal(Arrays.stream(p.executeBatch()).sum(), 5);
    ResultSet keys = p.getGeneratedKeys();
    keys.next();
    equal(keys.getLong(1), 1L);
    PreparedStatement q = c.prepareStatement("select * from j where id = any(?) order by id");
    // From the fifth execution on the driver prepares on the server and asks for binary values.
    for (int round = 0; round < 7; round++) {
      q.setArray(1, c.createArrayOf("int8", new Long[] {1L, 2L}));
      ResultSet r = q.executeQuery();
      r.next();
      equal(r.getString("name"), "n0");
      equal(r.getBigDecimal("n"), new BigDecimal("1.50"));
      equal(r.getObject("d", LocalDate.class), LocalDate.of(2026, 1, 2));
      equal(r.getBoolean("b"), true);
      equal(r.getDouble("f"), 1.25);
      equal(Arrays.asList((Object[]) r.getArray("a").getArray()), List.of(1, 2));
      if (!simple) equal(r.getBytes("by")[1], (byte) -1);
      equal(r.getObject("u"), u);
    }
  }

  static void cursors(Connection c) throws SQLException {
    c.setAutoCommit(false);
    PreparedStatement q = c.prepareStatement("select generate_series(1, 1000)");
    q.setFetchSize(100);
    ResultSet r = q.executeQuery();
    int n = 0;
    while (r.next()) n++;
    equal(n, 1000);
    Savepoint before = c.setSavepoint();
    try {
      c.createStatement().execute("insert into j(name) values('n0')");
      throw new AssertionError("a second row with one name");
    } catch (org.postgresql.util.PSQLException e) {
      equal(e.getSQLState(), "23505");
      equal(e.getServerErrorMessage().getConstraint(), "one_name");
    }
    c.rollback(before);
    c.commit();
    c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
  }

  static void describe(DatabaseMetaData m) throws SQLException {
    List<String> types = new ArrayList<>();
    ResultSet r = m.getColumns(null, "public", "j", null);
    while (r.next()) types.add(r.getString("TYPE_NAME"));
    equal(types, List.of("bigserial", "varchar", "numeric", "date", "bool", "float8", "_int4", "bytea", "uuid"));
    r = m.getPrimaryKeys(null, "public", "j");
    r.next();
    equal(r.getString("PK_NAME"), "j_pkey");
    r = m.getIndexInfo(null, "public", "j", false, false);
    Set<String> indexes = new TreeSet<>();
    while (r.next()) indexes.add(r.getString("INDEX_NAME"));
    equal(indexes, Set.of("j_pkey", "one_name"));
    m.getTables(null, null, "%", new String[] {"TABLE"}).close();
    m.getImportedKeys(null, null, "j").close();
    m.getTypeInfo().close();
    m.getProcedures(null, null, "%").close();
    m.getSchemas().close();
    m.getTablePrivileges(null, null, "j").close();
  }
}
