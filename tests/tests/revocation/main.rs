//! The main job on real hosts: an order is pushed, and what it says is true on the host.

mod contested;
mod copies;
mod crashes;
mod deferred;
mod delivery;
mod directory;
mod key_sessions;
mod knocking;
mod refusals;
mod release;
mod rights;
mod stage;
mod story;
