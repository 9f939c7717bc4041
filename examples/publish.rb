# Publishes and reads with the pg gem (Debian: ruby-pg):  ruby publish.rb /chat
require 'json'
require 'pg'

channel = ARGV.fetch(0)
connection = PG.connect(ENV.fetch('DATABASE_URL'))
list = PG::TextEncoder::Array.new

publish = lambda do |channel, data, user_ids: nil|
  parameters = [channel, JSON.generate(data), user_ids && list.encode(user_ids)]
  connection.exec_params('select message_bus.publish($1, $2, user_ids => $3)', parameters).getvalue(0, 0)
end

# With your own data: the message goes out when the transaction commits, and never if it does not.
connection.transaction do
  connection.exec('create temp table notes (body text) on commit drop')
  connection.exec("insert into notes values ('hello')")
  puts "published #{publish.call(channel, { from: 'ruby', text: 'hello' })}"
end

connection.exec('begin')
publish.call(channel, 'never seen')
connection.exec('rollback')

# For some alone. Ids are text, and numbers become that here.
puts "published #{publish.call(channel, 'for 42', user_ids: [42])}"

# What can be read after an id that you have seen: 0, from the beginning.
connection.exec_params('select message_id, data from message_bus.backlog($1, $2)', [channel, 0]).each do |row|
  puts "#{row['message_id']} #{row['data']}"
end

# Errors have an SQLSTATE.
begin
  publish.call('/__status', 1)
rescue PG::Error => e
  puts "refused #{e.result.error_field(PG::Result::PG_DIAG_SQLSTATE)}"
end

connection.close
