//! State store, queue, leases and observations in SQLite.
