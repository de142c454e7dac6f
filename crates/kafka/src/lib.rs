//! Commands, ticks, checkpoints and queues on Kafka: the log, sink and queue ports on librdkafka.
