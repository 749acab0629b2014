//! Whole hosts, in a small language: `Host`, `Account`, `Key`, `Login`, `ControlPlane`, `Order`.
//!
//! A test boots a real Debian (systemd as PID 1, logind, PAM, sshd) in a namespace of its own, makes
//! accounts on it, logs in with the real ssh client, and says what must be true:
//!
//! ```no_run
//! use rescind_tests::{Account, Host, Key, Login, Release};
//!
//! let host = Host::boot(Release::Bookworm);
//! let key = Key::ed25519("alice@laptop");
//! Account::create(&host, "alice").authorize(&key);
//! assert!(Login::to(&host, "alice").with(&key).attempt().is_in());
//! ```
//!
//! The functions here panic when the stage cannot be set (a host that does not boot, a command that
//! hangs): a test without its stage has failed. What is under test comes back as a value instead:
//! an [`Attempt`], a [`Ran`].
//!
//! Nothing here touches the accounts, the sshd or the network of the machine the tests run on, apart
//! from interfaces and namespaces whose names begin with `rescind-` or `rsc`, which it removes again.

/// Every reader of bytes, for fuzzing.
pub mod readers;

mod account;
mod canaries;
mod command;
mod control;
mod each_release;
mod forge;
mod generated;
mod host;
mod key;
mod login;
mod order;
mod package;
mod preflight;
mod silent;
mod slot;

pub use account::Account;
pub use canaries::{Canaries, letters, random};
pub use command::{Ran, run, run_with, wait_for};
pub use control::{ControlPlane, Request};
pub use forge::Forger;
pub use generated::on_all_releases;
pub use host::{Builder, CONTROL_NAME, Host, Release, Storage};
pub use key::Key;
pub use login::{Attempt, Login, Master, Session};
pub use order::Order;
pub use package::{Package, agent_binary, control_binary, deb};
pub use preflight::{Missing, can_boot_hosts};
pub use silent::Silent;
pub use slot::sweep;
