//! Who agrees: empty until there is more than one server.
//!
//! Not here: everything one server needs; that is all there is now. What will come is in docs of its own:
//! membership, Raft over the embedded store, replication of ephemeral instances, ownership of leases.
