//! A content delivery network in front: what its copies are named by, and how they are purged.
//!
//! An answer of delivery names what it is made of by short keys ([`keys`]); a change of what is public names what it
//! touches, in its own transaction; and what was touched is purged (`purging`), until the network has said that it is.

pub mod keys;
pub(crate) mod purging;
mod requests;
