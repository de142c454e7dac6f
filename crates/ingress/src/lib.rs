//! What producers may write to the command topic, understood: protobuf, JSON, headers, CloudEvents.
