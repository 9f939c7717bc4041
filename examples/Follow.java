// Follows all channels, as docs/protocol-sql.md says, with JDBC (Debian: libpostgresql-jdbc-java, and a JDK of 17 or later):
//   java -cp /usr/share/java/postgresql.jar Follow.java [global id]
//
// Prints each message once, in the order of global ids: those after the id given, or those from now on. Whatever interrupts
// it, a restart with the last id printed goes on where it was. After a restore it says so, and goes on with what is new.

import java.net.URI;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Timestamp;
import java.util.Properties;
import org.postgresql.PGConnection;

class Follow {
    static Long last;
    /** When the last message was published, and the past that its id belongs to. */
    static Timestamp lastAt;
    static String incarnation;

    public static void main(String[] arguments) throws SQLException, InterruptedException {
        if (arguments.length > 0) last = Long.valueOf(arguments[0]);
        while (true) {
            try {
                follow(URI.create(System.getenv("DATABASE_URL")));
            } catch (SQLException error) {
                // The connection was lost, the server stops or starts, or the schema is being restored. What else goes wrong does not pass.
                if (!String.valueOf(error.getSQLState()).matches("08...|57P..|42883|3F000")) throw error;
                System.err.println("again in a second: " + error.getMessage());
            }
            Thread.sleep(1_000);
        }
    }

    static void follow(URI url) throws SQLException {
        // One connection to listen with, which is never inside a transaction, and one to read with.
        try (var listener = connect(url); var reader = connect(url)) {
            var notifications = listener.unwrap(PGConnection.class);
            try (var listening = listener.createStatement()) {
                var name = readOne(reader, "select message_bus.notify_channel()", String.class);
                listening.execute("listen " + notifications.escapeIdentifier(name));
                if (last == null)
                    last = readOne(reader, "select coalesce(max(global_id), 0) from message_bus.global_backlog()", Long.class);
                if (lastAt == null)
                    lastAt = readOne(reader, "select coalesce(max(published_at), now()) from message_bus.global_backlog(" + Math.max(last - 1, 0)
                        + ") where global_id = " + last, Timestamp.class);
                System.out.println("following " + last);
                // The server may have been put back to an earlier state.
                if (incarnation != null && isAnotherPast(reader, true)) System.out.println("another past: following " + last);
                while (readOne(reader, "select message_bus.notify_channel()", String.class).equals(name)) {
                    // After LISTEN: what was published before it brings no notification.
                    catchUp(reader);
                    // Something new, or a few seconds without: then this asks all the same.
                    notifications.getNotifications(5_000);
                    // Notices where the connection is dead.
                    listening.execute("select 1");
                }
            }
        }
    }

    /** What is new, until nothing is. In one statement: all that it finds is of one past. */
    static void catchUp(Connection reader) throws SQLException {
        try (var statement = reader.prepareStatement("select i.incarnation, g.* from message_bus.incarnation() i(incarnation)"
                + " left join message_bus.global_backlog(?) g on true")) {
            statement.setLong(1, last);
            try (var rows = statement.executeQuery()) {
                while (rows.next()) {
                    var found = rows.getString("incarnation");
                    if (incarnation != null && !incarnation.equals(found)) {
                        incarnation = found;
                        if (isAnotherPast(reader, false)) System.out.println("another past: following " + last);
                        catchUp(reader);
                        return;
                    }
                    incarnation = found;
                    if (rows.getObject("global_id") == null) continue;
                    last = rows.getLong("global_id");
                    lastAt = rows.getTimestamp("published_at");
                    System.out.println(last + " " + rows.getString("channel") + " " + rows.getString("data"));
                }
            }
        }
    }

    /** Whether the last message is no longer what it was; then goes on with what is younger. */
    static boolean isAnotherPast(Connection reader, boolean isSameIncarnation) throws SQLException {
        try (var statement = reader.prepareStatement("select coalesce(bool_or(g.global_id = l.id and g.published_at = l.at), false),"
                + " coalesce(bool_or(g.global_id = l.id and g.published_at <> l.at), false) or coalesce(max(g.global_id), 0) < max(l.id),"
                + " coalesce(min(g.global_id) filter (where g.published_at > l.at) - 1, max(g.global_id), 0)"
                + " from (select ?::bigint, ?::timestamptz) l(id, at) left join message_bus.global_backlog() g on true")) {
            statement.setLong(1, last);
            statement.setTimestamp(2, lastAt);
            try (var rows = statement.executeQuery()) {
                rows.next();
                if (rows.getBoolean(1) || (isSameIncarnation && !rows.getBoolean(2))) return false;
                last = rows.getLong(3);
                return true;
            }
        }
    }

    static <T> T readOne(Connection reader, String query, Class<T> type) throws SQLException {
        try (var statement = reader.createStatement(); var rows = statement.executeQuery(query)) {
            rows.next();
            return rows.getObject(1, type);
        }
    }

    /** The driver takes user and password apart from the address. */
    static Connection connect(URI url) throws SQLException {
        var login = url.getUserInfo().split(":", 2);
        var port = url.getPort() < 0 ? 5432 : url.getPort();
        var settings = new Properties();
        settings.setProperty("user", login[0]);
        settings.setProperty("password", login[1]);
        settings.setProperty("tcpKeepAlive", "true");
        // Seconds for each answer; waiting for notifications has its own time.
        settings.setProperty("socketTimeout", "10");
        return DriverManager.getConnection("jdbc:postgresql://" + url.getHost() + ":" + port + url.getPath(), settings);
    }
}
