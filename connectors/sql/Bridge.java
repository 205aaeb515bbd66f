import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.File;
import java.io.IOException;
import java.math.BigDecimal;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.sql.Array;
import java.sql.Connection;
import java.sql.Driver;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Types;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.time.temporal.ChronoField;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.ServiceLoader;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Lets a Node.js process use JDBC drivers: many connections, each with a thread of its own, over standard input and output. A message is a
 * list of texts: the number of texts, then each as its length in bytes (-1: null) and UTF-8; numbers have 32 bits, big-endian.
 *
 * Requests: number, what, connection, and then for
 *   open: address, driver class or empty, how many properties, name, value ...
 *   ask: seconds, SQL, then kind and value of each parameter
 *   begin: isolation levels to try, parted by commas; end: no more; close and abort: no more
 * Answers: number, "ok", and for ask: how many columns, name, kind, type of each, then the cells row by row; or
 *   number, "error", SQLSTATE or empty, code of the vendor, class of the exception.
 * It begins with the answer 0, and the end of the input ends the process.
 */
public final class Bridge {
  private static final DateTimeFormatter READING =
      new DateTimeFormatterBuilder()
          .appendPattern("uuuu-MM-dd'T'HH:mm:ss")
          .appendFraction(ChronoField.NANO_OF_SECOND, 0, 9, true)
          .toFormatter();

  private static DataOutputStream output;
  private static ClassLoader drivers;
  private static final Map<String, Session> sessions = new ConcurrentHashMap<>();

  private static final class Session {
    final ExecutorService thread =
        Executors.newSingleThreadExecutor(
            work -> {
              Thread created = new Thread(work);
              created.setDaemon(true);
              return created;
            });
    volatile Connection connection;
    volatile boolean aborted;
  }

  public static void main(String[] jars) throws Exception {
    output = new DataOutputStream(new BufferedOutputStream(System.out, 1 << 16));
    // Whatever a driver prints must not get between the messages.
    System.setOut(System.err);
    URL[] urls = new URL[jars.length];
    for (int index = 0; index < jars.length; index += 1) urls[index] = new File(jars[index]).toURI().toURL();
    drivers = new URLClassLoader(urls, Bridge.class.getClassLoader());
    Thread.currentThread().setContextClassLoader(drivers);
    answer(List.of("0", "ok"));
    DataInputStream input = new DataInputStream(new BufferedInputStream(System.in));
    try {
      while (true) take(read(input));
    } catch (EOFException end) {
      System.exit(0);
    }
  }

  private static List<String> read(DataInputStream input) throws IOException {
    int count = input.readInt();
    List<String> texts = new ArrayList<>(count);
    for (int index = 0; index < count; index += 1) {
      int length = input.readInt();
      if (length < 0) {
        texts.add(null);
        continue;
      }
      byte[] bytes = new byte[length];
      input.readFully(bytes);
      texts.add(new String(bytes, StandardCharsets.UTF_8));
    }
    return texts;
  }

  private static void answer(List<String> texts) {
    synchronized (output) {
      try {
        output.writeInt(texts.size());
        for (String text : texts) {
          if (text == null) {
            output.writeInt(-1);
            continue;
          }
          byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
          output.writeInt(bytes.length);
          output.write(bytes);
        }
        output.flush();
      } catch (IOException gone) {
        System.exit(0);
      }
    }
  }

  private static void take(List<String> request) {
    String number = request.get(0);
    String what = request.get(1);
    Session session = sessions.computeIfAbsent(request.get(2), key -> new Session());
    if (what.equals("abort")) {
      session.aborted = true;
      sessions.remove(request.get(2));
      Connection connection = session.connection;
      Thread killer = new Thread(() -> abort(connection));
      killer.setDaemon(true);
      killer.start();
      session.thread.shutdown();
      answer(List.of(number, "ok"));
      return;
    }
    session.thread.execute(
        () -> {
          try {
            Thread.currentThread().setContextClassLoader(drivers);
            List<String> result = new ArrayList<>(List.of(number, "ok"));
            result.addAll(perform(session, what, request));
            answer(result);
          } catch (Throwable error) {
            answer(describe(number, error));
          }
          if (what.equals("close")) {
            sessions.remove(request.get(2));
            session.thread.shutdown();
          }
        });
  }

  private static void abort(Connection connection) {
    try {
      if (connection != null) connection.abort(Runnable::run);
    } catch (Throwable ignored) {
      // It is gone either way.
    }
  }

  private static List<String> describe(String number, Throwable error) {
    Throwable cause = error;
    while (cause != null && !(cause instanceof SQLException)) cause = cause.getCause();
    if (cause == null) return List.of(number, "error", "", "0", error.getClass().getName());
    SQLException sql = (SQLException) cause;
    String state = sql.getSQLState() == null ? "" : sql.getSQLState();
    Throwable root = sql;
    while (root.getCause() != null && root.getCause() != root) root = root.getCause();
    return List.of(number, "error", state, String.valueOf(sql.getErrorCode()), root.getClass().getName());
  }

  private static List<String> perform(Session session, String what, List<String> request) throws Exception {
    switch (what) {
      case "open":
        session.connection = open(request);
        if (session.aborted) abort(session.connection);
        return List.of();
      case "ask":
        return ask(session.connection, request);
      case "begin":
        begin(session.connection, request.get(3));
        return List.of();
      case "end":
        session.connection.rollback();
        session.connection.setAutoCommit(true);
        return List.of();
      case "close":
        if (session.connection != null) session.connection.close();
        return List.of();
      default:
        throw new IllegalArgumentException(what);
    }
  }

  private static Connection open(List<String> request) throws Exception {
    String url = request.get(3);
    Properties properties = new Properties();
    for (int index = 6; index + 1 < request.size(); index += 2) properties.setProperty(request.get(index), request.get(index + 1));
    Connection connection = driverOf(url, request.get(4)).connect(url, properties);
    if (connection == null) throw new SQLException("the driver does not take this address", "08001");
    try {
      connection.setReadOnly(!"false".equals(request.get(5)));
    } catch (SQLException unable) {
      // It is a hint; the account's rights are what holds.
    }
    return connection;
  }

  /** DriverManager does not see drivers that were not on the class path from the start. */
  private static Driver driverOf(String url, String name) throws Exception {
    if (!name.isEmpty()) return (Driver) Class.forName(name, true, drivers).getDeclaredConstructor().newInstance();
    for (Driver driver : ServiceLoader.load(Driver.class, drivers)) if (driver.acceptsURL(url)) return driver;
    throw new ClassNotFoundException("no driver for this address in the jars");
  }

  private static void begin(Connection connection, String levels) throws SQLException {
    SQLException last = null;
    for (String level : levels.split(",")) {
      try {
        connection.setTransactionIsolation(Integer.parseInt(level));
        last = null;
        break;
      } catch (SQLException unable) {
        last = unable;
      }
    }
    if (last != null) throw last;
    connection.setAutoCommit(false);
  }

  private static List<String> ask(Connection connection, List<String> request) throws Exception {
    try (PreparedStatement statement = connection.prepareStatement(request.get(4))) {
      try {
        statement.setQueryTimeout(Integer.parseInt(request.get(3)));
      } catch (SQLException unable) {
        // The asker has a limit of its own.
      }
      for (int index = 5; index + 1 < request.size(); index += 2) bind(statement, (index - 3) / 2, request.get(index), request.get(index + 1));
      List<String> result = new ArrayList<>();
      if (!statement.execute()) {
        result.add("0");
        return result;
      }
      try (ResultSet rows = statement.getResultSet()) {
        ResultSetMetaData about = rows.getMetaData();
        int columns = about.getColumnCount();
        String[] kinds = new String[columns];
        result.add(String.valueOf(columns));
        for (int column = 1; column <= columns; column += 1) {
          kinds[column - 1] = kindOf(about, column);
          result.addAll(Arrays.asList(about.getColumnLabel(column), kinds[column - 1], about.getColumnTypeName(column)));
        }
        while (rows.next()) for (int column = 1; column <= columns; column += 1) result.add(cell(rows, column, kinds[column - 1]));
      }
      return result;
    }
  }

  private static void bind(PreparedStatement statement, int place, String kind, String value) throws SQLException {
    switch (kind) {
      case "boolean" -> statement.setBoolean(place, Boolean.parseBoolean(value));
      case "integer", "bigint" -> statement.setLong(place, Long.parseLong(value));
      case "decimal" -> statement.setBigDecimal(place, new BigDecimal(value));
      case "float" -> statement.setDouble(place, Double.parseDouble(value));
      case "date" -> statement.setObject(place, LocalDate.parse(value));
      case "timestamp" -> statement.setObject(place, LocalDateTime.parse(value));
      case "instant" -> statement.setObject(place, OffsetDateTime.parse(value));
      case "uuid" -> statement.setObject(place, UUID.fromString(value));
      case "binary" -> statement.setBytes(place, Base64.getDecoder().decode(value));
      case "other" -> statement.setObject(place, value, Types.OTHER);
      default -> statement.setString(place, value);
    }
  }

  private static String kindOf(ResultSetMetaData about, int column) throws SQLException {
    String type = about.getColumnTypeName(column).toLowerCase();
    switch (about.getColumnType(column)) {
      case Types.BOOLEAN:
      case Types.BIT:
        return "boolean";
      case Types.TINYINT:
      case Types.SMALLINT:
        return "integer";
      case Types.INTEGER:
        // Unsigned ones may be beyond a Java int.
        return type.contains("unsigned") ? "bigint" : "integer";
      case Types.BIGINT:
        return "bigint";
      case Types.NUMERIC:
      case Types.DECIMAL:
        return "decimal";
      case Types.REAL:
      case Types.FLOAT:
      case Types.DOUBLE:
        return "float";
      case Types.DATE:
        // Oracle's has a time of day.
        return about.getColumnClassName(column).endsWith("Timestamp") ? "timestamp" : "date";
      case Types.TIMESTAMP:
        // PostgreSQL's driver and MariaDB's call points in time by the same number.
        return type.equals("timestamptz") || (type.equals("timestamp") && about.getClass().getName().contains("mariadb")) ? "instant" : "timestamp";
      case Types.TIMESTAMP_WITH_TIMEZONE:
      // Of SQL Server (datetimeoffset) and Oracle.
      case -155:
      case -101:
        return "instant";
      case Types.BINARY:
      case Types.VARBINARY:
      case Types.LONGVARBINARY:
      case Types.BLOB:
        return type.equals("uuid") ? "uuid" : "binary";
      case Types.ARRAY:
        return "list";
      case Types.CHAR:
      case Types.VARCHAR:
      case Types.LONGVARCHAR:
      case Types.NCHAR:
      case Types.NVARCHAR:
      case Types.LONGNVARCHAR:
      case Types.CLOB:
      case Types.NCLOB:
        return "text";
      default:
        return type.equals("uuid") ? "uuid" : "other";
    }
  }

  private static String cell(ResultSet rows, int column, String kind) throws SQLException {
    switch (kind) {
      case "boolean": {
        boolean value = rows.getBoolean(column);
        return rows.wasNull() ? null : String.valueOf(value);
      }
      case "decimal": {
        BigDecimal value = rows.getBigDecimal(column);
        return value == null ? null : value.toPlainString();
      }
      case "date": {
        LocalDate value = rows.getObject(column, LocalDate.class);
        return value == null ? null : value.toString();
      }
      // Never through java.sql.Timestamp, which takes readings for those of this machine's zone and has none for hours that summer time leaves out.
      case "timestamp": {
        LocalDateTime value = rows.getObject(column, LocalDateTime.class);
        return value == null ? null : READING.format(value);
      }
      case "instant": {
        OffsetDateTime value = instant(rows, column);
        return value == null ? null : READING.format(value.withOffsetSameInstant(ZoneOffset.UTC)) + "Z";
      }
      case "binary": {
        byte[] value = rows.getBytes(column);
        return value == null ? null : Base64.getEncoder().encodeToString(value);
      }
      case "list": {
        Array value = rows.getArray(column);
        return value == null ? null : list((Object[]) value.getArray());
      }
      default:
        return rows.getString(column);
    }
  }

  private static OffsetDateTime instant(ResultSet rows, int column) throws SQLException {
    try {
      return rows.getObject(column, OffsetDateTime.class);
    } catch (SQLException unable) {
      // The session's zone is UTC.
      LocalDateTime value = rows.getObject(column, LocalDateTime.class);
      return value == null ? null : value.atOffset(ZoneOffset.UTC);
    }
  }

  private static String list(Object[] values) {
    StringBuilder text = new StringBuilder("[");
    for (Object value : values) {
      if (value == null) continue;
      if (text.length() > 1) text.append(',');
      text.append('"');
      for (char letter : value.toString().toCharArray()) {
        if (letter == '"' || letter == '\\') text.append('\\').append(letter);
        else if (letter < 0x20) text.append(String.format("\\u%04x", (int) letter));
        else text.append(letter);
      }
      text.append('"');
    }
    return text.append(']').toString();
  }
}
