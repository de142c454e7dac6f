-- An effect that happens once a message, whatever is delivered how often, and never by a holder that was replaced. One statement: its three
-- changes are there together or not at all. Give it execution, token, message, account and amount (psql --set).
with delivery as (
  -- Only who holds the greatest token of the execution goes on.
  insert into minutehand_deliveries as known (execution_id, token)
  values (:'execution', :'token')
  on conflict (execution_id) do update set token = excluded.token where known.token < excluded.token
  returning 1
), message as (
  -- Only the first one of the message, over all its attempts and replays.
  insert into minutehand_messages (message_id)
  select :'message' from delivery
  on conflict do nothing
  returning 1
), effect as (
  insert into accounts as known (account, balance)
  select :'account', :'amount'::bigint from message
  on conflict (account) do update set balance = known.balance + excluded.balance
  returning 1
)
select case
  when exists (select from effect) then 'done'
  when exists (select from delivery) then 'done before'
  else 'replaced'
end;
