-- What the statement in once.sql stands on, beside the account that it changes.
create table if not exists minutehand_deliveries (
  execution_id text primary key,
  token text collate "C" not null
);
create table if not exists minutehand_messages (message_id text primary key);
create table if not exists accounts (account text primary key, balance bigint not null);
