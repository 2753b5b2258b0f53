//! Bounded store of messages that the broker has not acknowledged.
