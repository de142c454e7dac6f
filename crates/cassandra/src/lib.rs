//! The timetable on Cassandra or ScyllaDB: blocks by minute bucket, revisions, and the schema's migrations.
