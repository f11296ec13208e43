//! The durable record of a drill: append, read, verify. JSON lines, each chained to the one before by a hash.
//!
//! A record is `{"seq":…,"wall_ms":…,"mono_us":…,"kind":…,"payload":…,"hash":"…"}`: its hash is BLAKE3 over the
//! hash of the record before and the line without its hash. The last record, of kind `closed`, says how many
//! there are. A torn last line (the machine lost power while it was written) is cut off and said; a broken
//! chain is said and never repaired: what stands behind the break is not believed.
//!
//! [`Encoder`], [`Decoder`] and [`decode()`] are pure, for the simulator and for who reads along; [`Writer`] and [`read()`] are the same on files.
//! Contract: what [`Writer::append`] has returned `Ok` for with `durable` is on disk. A writer that failed once
//! stays failed: a journal with a hole would replay to another drill than the one that was.
//!
//! Uses `drill` for what a record holds.

mod codec;
mod file;

pub use codec::{Broken, Decoder, EncodeError, Encoder, Journal, MAX_LINE_BYTES, Torn, decode, handed};
pub use file::{JournalError, MAX_FILE_BYTES, Writer, read};
