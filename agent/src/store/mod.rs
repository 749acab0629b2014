//! The journal, which is the evidence chain, and its index.
//!
//! The journal is the truth: one chained and signed record for everything that was ordered, done
//! and seen, durable before anybody is told. Everything else here is derived from it.

/// Makes the records of the chain: numbered, linked, dated, signed.
mod chain;
/// What is kept of records that were dropped.
mod checkpoint;
/// The checksum of the journal's frames.
mod crc32c;
/// What can go wrong with the store, told to the operator.
mod error;
/// The key that signs the chain.
mod evidence_key;
/// Reading on from a record that is known.
mod follow;
/// One frame: a sealed record and its private attachment, as they lie in a file.
mod frame;
/// The store as the daemon holds it.
mod handle;
/// The journal, open for writing.
mod journal;
/// One order and what became of it.
mod order_state;
/// Reading a journal while the daemon writes it.
mod reader;
/// Opening a store after whatever happened to it.
mod recovery;
/// What is done about damage.
mod salvage;
/// Reads a whole journal without changing it.
mod scan;
/// Which orders were seen before.
mod seen;
/// One file of frames.
mod segment;
/// What the records add up to.
mod state;

/// Where the records about an order lie: names sled.
mod index;
/// The process in which the index lives.
mod index_process;
/// Keeps the index in step with the journal.
mod index_upkeep;
/// The last survey, in an index of its own.
mod kept_survey;
/// Everything the journal still says about some orders.
pub mod lookup;
/// Keeping that survey, and reading it back.
mod survey_process;

pub use chain::{Clock, HostClock};
pub use error::StoreError;
pub use handle::Store;
pub use index::IndexError;
pub use index_process::{hidden_entry, this_program};
pub use index_upkeep::IndexWork;
pub use journal::Limits;
pub use kept_survey::{Front, State, States};
pub use lookup::{History, Question, look_up};
pub use order_state::{OrderState, StepState};
pub use reader::JournalReader;
pub use recovery::{Options, Recovery};
pub use scan::Cut;
pub use seen::Sight;
pub use state::StoreState;
pub use survey_process::{Kept, LastSurvey, keep_survey, last_survey};
