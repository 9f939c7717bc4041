# Follows all channels, as docs/protocol-sql.md says, with the pg gem (Debian: ruby-pg):  ruby follow.rb [global id]
#
# Prints each message once, in the order of global ids: those after the id given, or those from now on. Whatever interrupts
# it, a restart with the last id printed goes on where it was. After a restore it says so, and goes on with what is new.
require 'pg'

$stdout.sync = true

class Follower
  def initialize(url, last)
    @url = url
    @last = last
    # When the last message was published, and the past that its id belongs to.
    @last_at = nil
    @incarnation = nil
  end

  # One connection to listen with, which is never inside a transaction, and one to read with.
  def follow
    listener = connect
    @reader = connect
    name = notify_channel
    listener.exec("listen #{listener.quote_ident(name)}")
    begin_somewhere
    puts "following #{@last}"
    is_first = true
    while notify_channel == name
      # After LISTEN: what was published before it brings no notification.
      catch_up(is_first)
      is_first = false
      # Something new, or a few seconds without: then this asks all the same.
      listener.wait_for_notify(5)
      # Takes further notifications off the connection, and notices if it is dead.
      listener.exec('select 1')
      nil while listener.notifies
    end
  ensure
    listener&.close
    @reader&.close
  end

  private

  def connect
    PG.connect(@url, keepalives_idle: 30, tcp_user_timeout: 10_000)
  end

  def row(sql, parameters = [])
    @reader.exec_params(sql, parameters).values.first
  end

  def notify_channel
    row('select message_bus.notify_channel()').first
  end

  def begin_somewhere
    @last ||= row('select coalesce(max(global_id), 0) from message_bus.global_backlog()').first.to_i
    @last_at ||= row(
      'select coalesce(max(published_at), now()) from message_bus.global_backlog($1) where global_id = $2',
      [[@last - 1, 0].max, @last]
    ).first
  end

  # What is new, until nothing is. The first time on a connection, the server may have been put back to an earlier state.
  def catch_up(is_first = false)
    # One statement: all that it finds is of one past.
    rows = @reader.exec_params(<<~SQL, [@last]).values
      select i.incarnation, g.global_id, g.published_at, g.channel, g.data::text
      from message_bus.incarnation() i(incarnation) left join message_bus.global_backlog($1) g on true
    SQL
    if @incarnation && (is_first || rows[0][0] != @incarnation)
      is_same = rows[0][0] == @incarnation
      @incarnation = rows[0][0]
      puts "another past: following #{@last}" if another_past?(is_same)
      return catch_up
    end
    rows.each do |incarnation, global_id, published_at, channel, data|
      @incarnation = incarnation
      next unless global_id

      @last = global_id.to_i
      @last_at = published_at
      puts "#{global_id} #{channel} #{data}"
    end
  end

  # Whether the last message is no longer what it was; then goes on with what is younger.
  def another_past?(is_same_incarnation)
    is_known, is_undone, place = row(<<~SQL, [@last, @last_at])
      select coalesce(bool_or(global_id = $1 and published_at = $2), false),
        coalesce(bool_or(global_id = $1 and published_at <> $2), false) or coalesce(max(global_id), 0) < $1,
        coalesce(min(global_id) filter (where published_at > $2) - 1, max(global_id), 0)
      from message_bus.global_backlog()
    SQL
    return false if is_known == 't' || (is_same_incarnation && is_undone == 'f')

    @last = place.to_i
    true
  end
end

follower = Follower.new(ENV.fetch('DATABASE_URL'), ARGV.first&.to_i)
loop do
  begin
    follower.follow
  rescue PG::ConnectionBad, PG::UnableToSend, PG::AdminShutdown, PG::UndefinedFunction, PG::InvalidSchemaName => e
    # The connection was lost, or the schema is being restored.
    warn "again in a second: #{e.message}"
  end
  sleep 1
end
